// A page made of fakes, in which a collector as it is served runs. Time passes when `pass` says so.
'use strict';
const fs = require('node:fs');
const path = require('node:path');
const vm = require('node:vm');

const served = (name) => fs.readFileSync(path.join(__dirname, '../../src/collector', name), 'utf8');
const START = 1_800_000_000_000;

class Storage {
  getItem(name) { return Object.hasOwn(this, name) ? this[name] : null; }
  setItem(name, text) {
    if (this.isFull?.()) throw new Error('QuotaExceededError');
    this[name] = String(text);
  }
  removeItem(name) { delete this[name]; }
}

/**
 * Options: data (of the tag), tag (false: a module), local and session (storages, "forbidden"), answers (of the server, in
 * order; "offline" fails; a function decides), at (the address), cookie, early (calls before the script), beacon (false: there
 * is none; "full": it takes nothing), now, crypto, prerendering.
 */
function page(options = {}) {
  const answers = options.answers || [];
  const it = { sent: [], beacons: [], complaints: [], now: options.now || START };
  it.local = options.local || new Storage();
  it.session = options.session || new Storage();
  const timers = new Map();
  const heard = {};
  const listen = (name, f, how) => (heard[name] ||= []).push([f, how]);
  let count = 0;

  const location = new URL(options.at || 'https://shop.test/p?utm_source=s&utm_campaign=c&gclid=1');
  const window = {
    location,
    navigator: { userAgent: 'UA', language: 'de', onLine: true },
    history: {
      pushState(_state, _title, to) { location.href = new URL(to, location).href; },
      replaceState(_state, _title, to) { location.href = new URL(to, location).href; },
    },
    document: {
      baseURI: 'https://shop.test/', referrer: 'https://search.test/', title: 'T', visibilityState: 'visible',
      prerendering: options.prerendering,
      currentScript: options.tag === false ? null
        : { dataset: { writeKey: 'wk', ...options.data }, src: 'https://data.shop.test/anole.js' },
      querySelector: () => null,
      addEventListener: listen,
      get cookie() {
        if (options.local === 'forbidden') throw new Error('SecurityError');
        return options.cookie || '';
      },
    },
    crypto: { getRandomValues: (bytes) => globalThis.crypto.getRandomValues(bytes) },
    addEventListener: listen,
    setTimeout: (f, ms = 0) => (timers.set(++count, [f, it.now + ms]), count),
    clearTimeout: (id) => timers.delete(id),
    fetch(to, request) {
      const answer = answers.length > 0 ? answers.shift() : { status: 200 };
      it.sent.push({ to, ...request });
      if (answer === 'hangs') return new Promise(() => {});
      if (answer === 'offline') return Promise.reject(new TypeError('Failed to fetch'));
      if (answer.later) return answer.later;
      const { status = 200, headers = {} } = answer;
      return Promise.resolve({ status, ok: status < 300, headers: { get: (name) => headers[name] ?? null } });
    },
    console: { error: (...what) => it.complaints.push(what.join(' ')) },
    URL, URLSearchParams, Intl,
    Blob: class { constructor([text]) { this.text = text; this.size = Buffer.byteLength(text); } },
  };
  window.window = window;
  for (const [name, storage] of [['localStorage', it.local], ['sessionStorage', it.session]]) {
    Object.defineProperty(window, name, {
      get() {
        if (storage === 'forbidden') throw new Error('SecurityError');
        return storage;
      },
    });
  }
  if (options.beacon !== false) {
    window.navigator.sendBeacon = (to, blob) => options.beacon !== 'full' && it.beacons.push({ to, body: blob.text }) > 0;
  }
  if (options.early) window[options.data?.global || 'anole'] = options.early;

  const context = vm.createContext(window);
  context.now = () => Math.floor(it.now);
  vm.runInContext('Date.now = () => now()', context);
  it.window = window;
  it.context = context;
  it.fire = (name, event = {}) => {
    const all = heard[name] || [];
    heard[name] = all.filter(([, how]) => !how?.once);
    for (const [f] of all) f(event);
  };
  it.listens = (name) => (heard[name] || []).length > 0;
  /** Lets time pass, and what was to happen in it. */
  it.pass = async (ms) => {
    const end = it.now + ms;
    for (;;) {
      await new Promise((done) => setImmediate(done));
      const [next] = [...timers].filter(([, [, at]]) => at <= end).sort((a, b) => a[1][1] - b[1][1]);
      if (!next) break;
      timers.delete(next[0]);
      it.now = Math.max(it.now, next[1][1]);
      next[1][0]();
    }
    it.now = end;
  };
  it.body = (n) => JSON.parse(it.sent[n].body);
  it.batch = (n) => it.body(n).batch;
  it.events = () => it.sent.flatMap((_, n) => it.batch(n));
  it.names = (events = it.events()) => events.map((event) => event.event || event.type).join(' ');
  it.left = () => (it.local === 'forbidden' ? [] : Object.keys(it.local).filter((name) => name.startsWith('anole.q.')));
  if (options.tag !== false) vm.runInContext(served('anole.js'), context);
  return it;
}

/** The collector as a module in such a page, loaded from this address. */
async function moduleIn(it, address) {
  const module = new vm.SourceTextModule(served('anole.mjs'), {
    context: it.context, initializeImportMeta(meta) { meta.url = address; },
  });
  await module.link(() => { throw new Error('the module imports something'); });
  await module.evaluate();
  return module.namespace;
}

module.exports = { page, moduleIn, Storage, START };

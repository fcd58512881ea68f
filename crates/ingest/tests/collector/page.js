// Runs the collector in a page that is made of fakes, and looks at what it sends. Started by ../collector.rs.
'use strict';
const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const vm = require('node:vm');

const source = fs.readFileSync(path.join(__dirname, '../../src/collector/anole.js'), 'utf8');

// A page with the script's tag in it. Timers run when `tick` says so.
function page(options = {}) {
  const store = options.store || {};
  const answers = options.answers || [];
  const it = { store, sent: [], beacons: [], timers: [], heard: {} };
  const tag = { dataset: { writeKey: 'wk', ...options.data }, src: 'https://data.shop.test/anole.js' };
  const search = '?utm_source=s&utm_campaign=c&gclid=1';
  const document = {
    currentScript: tag, baseURI: 'https://shop.test/', cookie: options.cookie || '', referrer: 'r', title: 'T',
    visibilityState: 'visible', addEventListener: (name, f) => { it.heard[name] = f; },
  };
  it.window = {
    anole: options.anole,
    location: { protocol: 'https:', href: 'https://shop.test/p' + search, pathname: '/p', search },
    navigator: { userAgent: 'UA', language: 'de', sendBeacon: (to, blob) => it.beacons.push([to, blob.text]) > 0 },
    localStorage: options.storage === false ? undefined : {
      getItem: (key) => (key in store ? store[key] : null),
      setItem: (key, value) => { store[key] = String(value); },
      removeItem: (key) => { delete store[key]; },
    },
    crypto: globalThis.crypto,
    setTimeout: (f, ms) => it.timers.push([f, ms]),
    clearTimeout: () => {},
    fetch: async (to, request) => {
      it.sent.push([to, request]);
      const answer = answers.shift() || { status: 200 };
      return { status: answer.status, headers: { get: () => answer.after || null } };
    },
    addEventListener: (name, f) => { it.heard[name] = f; },
  };
  const fakes = { window: it.window, document, URL, URLSearchParams, Blob: class { constructor(parts) { this.text = parts[0]; } } };
  vm.runInContext(source, vm.createContext(fakes));
  it.batch = (n) => JSON.parse(it.sent[n][1].body).batch;
  it.tick = async () => {
    for (const [f] of it.timers.splice(0)) f();
    await new Promise((done) => setImmediate(done));
  };
  return it;
}

const QUEUE = 'anole.queue.wk';
const silent = { page: 'off' };

const tests = {
  async 'a page call and what was queued before the script came travel in one batch'() {
    const it = page({ cookie: 'a=b; kameleoonVisitorCode=abc%20d', anole: [['track', 'Early', { x: 1 }]] });
    await it.tick();
    const [to, request] = it.sent[0];
    assert.equal(to, 'https://data.shop.test/v1/batch');
    assert.equal(request.credentials, 'include');
    assert.equal(request.headers['Content-Type'], 'text/plain');
    const body = JSON.parse(request.body);
    assert.equal(body.writeKey, 'wk');
    const [first, early] = body.batch;
    assert.equal(first.type, 'page');
    assert.deepEqual(first.context.campaign, { source: 's', name: 'c' });
    assert.deepEqual(first.context.click_ids, { gclid: '1' });
    assert.match(first.messageId, /^[0-9a-f-]{36}$/);
    assert.equal(early.event, 'Early');
    assert.deepEqual(early.properties, { kameleoonVisitorCode: 'abc d', x: 1 });
    assert.equal(QUEUE in it.store, false);
  },
  async 'the visitor code is found in localStorage in whatever form, and a bare one is not taken for a number'() {
    for (const [stored, code] of [['zzz', 'zzz'], ['"q"', 'q'], ['{"value":"v"}', 'v'], ['12e3456789', '12e3456789']]) {
      const it = page({ data: silent, store: { kameleoonVisitorCode: stored } });
      it.window.anole.track('T');
      await it.tick();
      assert.equal(it.batch(0)[0].properties.kameleoonVisitorCode, code);
    }
  },
  async 'a user stays known, and reset forgets him and makes another visitor'() {
    const it = page({ data: silent });
    it.window.anole.identify('u-1', { plan: 'pro' });
    it.window.anole.track('A');
    await it.tick();
    const [identify, track] = it.batch(0);
    assert.deepEqual([identify.type, identify.userId, identify.traits.plan], ['identify', 'u-1', 'pro']);
    assert.deepEqual([track.userId, track.anonymousId], ['u-1', identify.anonymousId]);
    it.window.anole.reset();
    it.window.anole.track('B');
    await it.tick();
    assert.equal(it.batch(1)[0].userId, undefined);
    assert.notEqual(it.batch(1)[0].anonymousId, identify.anonymousId);
  },
  async 'what fails is tried again with the same ids, after the time the server names, and over a reload'() {
    const it = page({ data: silent, answers: [{ status: 503, after: '2' }] });
    it.window.anole.track('R');
    await it.tick();
    const id = it.batch(0)[0].messageId;
    assert.ok(it.timers[0][1] >= 2000, `${it.timers[0][1]} ms`);
    const later = page({ data: silent, store: { ...it.store } });
    await later.tick();
    assert.equal(later.batch(0)[0].messageId, id);
    await it.tick();
    assert.equal(it.batch(1)[0].messageId, id);
    assert.equal(QUEUE in it.store, false);
  },
  async 'what is refused is not tried again'() {
    const it = page({ answers: [{ status: 401 }] });
    await it.tick();
    await it.tick();
    assert.equal(it.sent.length, 1);
    assert.equal(QUEUE in it.store, false);
  },
  async 'what is left when the page goes is handed to the browser'() {
    const it = page({ data: silent });
    it.window.anole.track('Bye');
    it.heard.pagehide();
    assert.equal(JSON.parse(it.beacons[0][1]).batch[0].event, 'Bye');
    await it.tick();
    assert.equal(it.sent.length, 0);
  },
  async 'it works where storage is forbidden'() {
    const it = page({ storage: false });
    await it.tick();
    assert.equal(it.sent.length, 1);
  },
  async 'the queue is bounded, and so is a request'() {
    const many = page({ data: silent });
    for (let i = 0; i < 250; i++) many.window.anole.track('E' + i);
    assert.equal(JSON.parse(many.store[QUEUE]).length, 100);
    const large = page({ data: silent });
    for (let i = 0; i < 20; i++) large.window.anole.track('E' + i, { x: 'y'.repeat(5000) });
    while (large.timers.length) await large.tick();
    assert.equal(large.sent.reduce((sum, _, n) => sum + large.batch(n).length, 0), 20);
    assert.ok(large.sent.every(([, request]) => request.body.length < 64000));
  },
};

(async () => {
  for (const [name, test] of Object.entries(tests)) {
    await test().catch((error) => { console.error(`${name}\n${error.stack}`); process.exitCode = 1; });
  }
})();

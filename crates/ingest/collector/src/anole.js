// The collector: Segment's calls, made into events.

import { makeBox } from './box.js';
import { makeQueue } from './queue.js';
import { landing, uuid, visitorCode } from './scene.js';

// What is known of the visitor: a: anonymous id, n: whether it was made here and the server has not confirmed it, u: user,
// g: group, c: consent.
const IDS = 'anole.ids';
const LANDING = 'anole.landing';

const is = (set, word, bare) => set === word || set === bare;
const isText = (it) => typeof it === 'string' || typeof it === 'number';

export function createAnole({ writeKey, host, page, navigation, hash, consent }, queued = []) {
  const where = (/^https?:/.test(host) ? host : `${location.protocol}//${host}`).replace(/\/+$/, '');
  const local = makeBox('localStorage');
  const session = makeBox('sessionStorage');
  const automatic = !is(page, 'off', false);
  const follows = automatic && !is(navigation, 'off', false);
  const fragment = is(hash, 'on', true) ? () => location.hash : () => '';

  // --- who it is

  let ids = {};
  let waits = consent === 'wait' && !local.json(IDS).c;
  // Events that wait for the visitor's word. Until then nothing is written to his device.
  let held = [];

  // Read anew for each event: another tab may know more by now.
  function recall() {
    ids = local.json(IDS);
    close();
    if (!ids.a) keep({ a: uuid(), n: 1 });
  }
  function keep(more) {
    ids = { ...ids, ...more };
    // Who said no is remembered by that and nothing else.
    if (close()) local.set(IDS, JSON.stringify({ c: ids.c }), !waits);
    local.set(IDS, JSON.stringify(ids));
  }
  function close() {
    return local.closed = session.closed = waits || !!ids.c && is(ids.c.analytics, 'denied', false);
  }

  const queue = makeQueue(writeKey, local, {
    // An id that was made here gives way to that of the server's cookie, which outlives a script's storage.
    url: () => `${where}/v1/batch${ids.n ? `?fresh=${ids.a}` : ''}`,
    heard(asked, visitor) {
      recall();
      if (visitor && asked.endsWith(`=${ids.a}`)) keep({ a: visitor, n: 0 });
    },
  });

  // --- where it is

  const href = () => location.href.split('#')[0] + fragment();
  const place = () => location.pathname + location.search + fragment();
  let seen = place();
  let address = href();
  let { referrer } = document;
  let moving = 0;

  // The new page's title comes after its address, and a redirect moves on at once.
  function moved() {
    clearTimeout(moving);
    moving = setTimeout(arrive, 50);
  }
  function arrive() {
    if (moving && place() !== seen) api.page();
  }
  // A page call is made for this place, by whomever.
  function here() {
    clearTimeout(moving);
    moving = 0;
    seen = place();
    if (href() === address) return;
    referrer = address;
    address = href();
  }

  // --- what it becomes

  function add(type, own, { options, done }) {
    const { context, integrations, timestamp, anonymousId, messageId } = options || {};
    recall();
    const spot = { path: location.pathname, referrer, search: location.search, title: document.title, url: href() };
    const code = visitorCode(local);
    const time = new Date(timestamp || Date.now());
    const event = {
      type,
      messageId: messageId || uuid(),
      anonymousId: anonymousId || ids.a,
      userId: ids.u,
      timestamp: isNaN(time) ? new Date() : time,
      consent: ids.c,
      integrations,
      ...own,
      context: {
        userAgent: navigator.userAgent,
        locale: navigator.language,
        timezone: zone(),
        library: { name: 'anole.js', version: VERSION },
        groupId: ids.g,
        ...landing(session),
        ...context,
        page: { ...spot, ...(context && context.page) },
      },
      // The code also with identify: it is what ties the user to the visitor.
      properties: { ...(code && { kameleoonVisitorCode: code }), ...(type === 'page' && spot), ...own.properties },
    };
    return new Promise((resolve) => {
      const told = (sent) => resolve({ event, sent: !!sent });
      // As with Segment's client, a callback is not kept waiting by the network.
      if (done) setTimeout(told, 300);
      if (!waits) return send(event, told);
      if (held.push(event) > 99) held.shift();
      told();
    }).then((result) => {
      if (done) done(result);
      return result;
    });
  }
  function send(event, told) {
    try {
      queue.add(JSON.stringify(event), told);
    } catch (error) {
      complain('an event cannot be written as JSON:', error);
      told();
    }
  }

  // What a call was given: `[text ...], [facts], [options], [callback]`, of which any may be missing.
  function sort(args, most) {
    const done = args.find((it) => typeof it === 'function');
    const rest = args.filter((it) => typeof it !== 'function');
    const texts = [];
    const isPlace = () => rest[0] == null && rest.length > 1 && (isText(rest[1]) || !texts.some(isText));
    while (texts.length < most && (isText(rest[0]) || isPlace())) texts.push(rest.shift());
    return { texts, facts: rest[0] || {}, options: rest[1], done };
  }

  const api = {
    version: VERSION,
    page(...args) {
      here();
      const call = sort(args, 2);
      const [name, category] = call.texts.reverse();
      return add('page', { name, category, properties: { name, category, ...call.facts } }, call);
    },
    track(event, ...args) {
      arrive();
      if (!event) complain('track needs the name of an event');
      const call = sort(args, 0);
      return add('track', { event, properties: call.facts }, call);
    },
    identify(...args) {
      arrive();
      const call = sort(args, 1);
      const [id] = call.texts;
      recall();
      // Another user is another visitor: they share the device.
      if (id != null) keep({ u: `${id}`, ...(ids.u && ids.u !== `${id}` && { a: uuid(), n: 0 }) });
      return add('identify', { traits: call.facts }, call);
    },
    group(...args) {
      arrive();
      const call = sort(args, 1);
      const [id] = call.texts;
      recall();
      if (id != null) keep({ g: `${id}` });
      return add('group', { groupId: ids.g, traits: call.facts }, call);
    },
    alias(...args) {
      const call = sort(args, 2);
      const [to, from] = call.texts;
      recall();
      return add('alias', { userId: to, previousId: from ?? ids.a }, call);
    },
    consent(given) {
      recall();
      waits = false;
      keep({ c: given ? { ...ids.c, ...given } : undefined });
      if (local.closed) session.drop(LANDING);
      for (const event of held.splice(0)) send({ ...event, consent: ids.c }, () => {});
    },
    reset() {
      recall();
      ids = { c: ids.c };
      keep({ a: uuid() });
    },
    setAnonymousId(id) {
      recall();
      keep({ a: `${id}`, n: 0 });
    },
    user() {
      recall();
      const { u, a } = ids;
      return { id: () => u, anonymousId: () => a };
    },
    ready: (then) => then(),
    flush: () => queue.flush(),
    push: ([name, ...args]) => api[name] && api[name](...args),
  };

  // --- the page's life

  function start() {
    // What was said of consent before the script came holds for the first page view too.
    const early = queued.filter((call) => call[0] === 'consent');
    early.forEach(api.push);
    if (automatic && !queued.some((call) => call[0] === 'page')) api.page();
    queued.filter((call) => !early.includes(call)).forEach(api.push);
    queue.later(250);
  }

  if (follows) {
    for (const name of ['pushState', 'replaceState']) {
      const real = history[name];
      history[name] = function (...args) {
        const answer = real.apply(this, args);
        moved();
        return answer;
      };
    }
    addEventListener('popstate', moved);
    addEventListener('hashchange', moved);
  }
  // On a phone a page that is hidden may never be seen again.
  addEventListener('visibilitychange', () => {
    arrive();
    queue.flush();
  });
  addEventListener('pagehide', () => {
    arrive();
    queue.leave();
  });
  addEventListener('pageshow', ({ persisted }) => {
    if (!persisted) return;
    queue.wake();
    if (automatic) api.page();
  });
  addEventListener('online', queue.wake);
  // A page that the browser prepares in advance has not been seen.
  if (document.prerendering) document.addEventListener('prerenderingchange', start, { once: true });
  else start();
  return api;
}

function complain(...what) {
  console.error('anole:', ...what);
}

function zone() {
  try { return Intl.DateTimeFormat().resolvedOptions().timeZone; } catch { /* old browser */ }
}

// Runs the collector, as it is served, in a page that is made of fakes, and looks at what it sends. Started by ../collector.rs.
'use strict';
const assert = require('node:assert');
const { page, moduleIn, Storage, START } = require('./fake.js');

const silent = { page: 'off' };
const HOUR = 3_600_000;

const tests = {
  // --- what arrives

  async 'a page call and what was queued before the script came travel in one batch'() {
    const it = page({ cookie: 'a=b; kameleoonVisitorCode=abc%20d', early: [['track', 'Early', { x: 1 }]] });
    await it.pass(300);
    assert.equal(it.sent.length, 1);
    assert.match(it.sent[0].to, /^https:\/\/data\.shop\.test\/v1\/batch\?fresh=/);
    assert.equal(it.sent[0].credentials, 'include');
    assert.equal(it.sent[0].keepalive, true);
    assert.equal(it.sent[0].headers['Content-Type'], 'text/plain');
    const { writeKey, sentAt, batch: [first, early] } = it.body(0);
    assert.equal(writeKey, 'wk');
    assert.match(sentAt, /^\d{4}-.*Z$/);
    assert.equal(first.type, 'page');
    assert.deepEqual(first.context.campaign, { source: 's', name: 'c' });
    assert.deepEqual(first.context.click_ids, { gclid: '1' });
    assert.deepEqual(first.context.page, {
      path: '/p', referrer: 'https://search.test/', search: '?utm_source=s&utm_campaign=c&gclid=1', title: 'T',
      url: 'https://shop.test/p?utm_source=s&utm_campaign=c&gclid=1',
    });
    assert.equal(first.context.library.name, 'anole.js');
    assert.equal(first.properties.url, first.context.page.url);
    assert.match(first.messageId, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    assert.equal(early.event, 'Early');
    assert.deepEqual(early.properties, { kameleoonVisitorCode: 'abc d', x: 1 });
    assert.deepEqual(it.left(), []);
  },
  async 'the visitor code is found in localStorage in whatever form, and a bare one is not taken for a number'() {
    for (const [stored, code] of [['zzz', 'zzz'], ['"q"', 'q'], ['{"value":"v"}', 'v'], ['12e3456789', '12e3456789']]) {
      const it = page({ data: silent, local: Object.assign(new Storage(), { kameleoonVisitorCode: stored }) });
      it.window.anole.track('T');
      await it.pass(300);
      assert.equal(it.batch(0)[0].properties.kameleoonVisitorCode, code);
    }
  },
  async 'the calls take what Segment\'s take, with anything left out'() {
    const it = page({ data: silent });
    const { anole } = it.window;
    anole.page();
    anole.page('Home');
    anole.page('Docs', 'Home', { a: 1 });
    anole.page({ b: 2 });
    anole.page(null, null, { c: 3 });
    anole.page('Home', null, { context: { locale: 'fr' } });
    anole.identify({ plan: 'free' });
    anole.identify('u-1', { plan: 'pro' }, { integrations: { All: false } });
    anole.identify(null, { plan: 'max' });
    anole.group('g-1', { seats: 3 });
    anole.alias('u-2');
    anole.alias('u-2', 'u-1');
    await it.pass(300);
    const [bare, named, both, facts, nothing, options, traits, user, known, group, alias, from] = it.batch(0);
    assert.deepEqual([bare.name, bare.category], [undefined, undefined]);
    assert.deepEqual([named.name, named.properties.name], ['Home', 'Home']);
    assert.deepEqual([both.category, both.name, both.properties.category, both.properties.a], ['Docs', 'Home', 'Docs', 1]);
    assert.equal(facts.properties.b, 2);
    assert.equal(nothing.properties.c, 3);
    assert.deepEqual([options.name, options.context.locale], ['Home', 'fr']);
    assert.deepEqual([traits.userId, traits.traits], [undefined, { plan: 'free' }]);
    assert.deepEqual([user.userId, user.traits.plan, user.integrations], ['u-1', 'pro', { All: false }]);
    assert.deepEqual([known.userId, known.traits.plan], ['u-1', 'max']);
    assert.deepEqual([group.groupId, group.traits, group.context.groupId], ['g-1', { seats: 3 }, 'g-1']);
    assert.deepEqual([alias.userId, alias.previousId], ['u-2', alias.anonymousId]);
    assert.deepEqual([from.userId, from.previousId], ['u-2', 'u-1']);
  },
  async 'what a call says of its own event stands'() {
    const it = page({ data: silent });
    it.window.anole.track('T', null, {
      messageId: 'm-1', anonymousId: 'a-1', timestamp: '2026-01-02T03:04:05Z', context: { page: { title: 'Mine' }, ip: '0.0.0.0' },
      integrations: { Kameleoon: false },
    });
    it.window.anole.track('T', {}, { timestamp: 'yesterday' });
    await it.pass(300);
    const [event, other] = it.batch(0);
    assert.deepEqual([event.messageId, event.anonymousId, event.timestamp], ['m-1', 'a-1', '2026-01-02T03:04:05.000Z']);
    assert.deepEqual([event.context.page.title, event.context.page.path, event.context.ip], ['Mine', '/p', '0.0.0.0']);
    assert.deepEqual(event.integrations, { Kameleoon: false });
    assert.match(other.timestamp, /^\d{4}-/, 'a time that is none is now');
  },
  async 'each call tells by its promise and its callback what became of it'() {
    const it = page({ data: silent, answers: [{ status: 200 }, { status: 401 }, 'offline'] });
    const { anole } = it.window;
    let heard;
    const first = anole.track('A', {}, {}, (result) => { heard = result; });
    await it.pass(250);
    assert.deepEqual([(await first).sent, heard.sent, heard.event.event], [true, true, 'A']);
    const second = anole.track('B');
    await it.pass(250);
    assert.equal((await second).sent, false);
    const third = anole.track('C', (result) => { heard = result; });
    await it.pass(250);
    assert.deepEqual([(await third).sent, heard.event.event], [false, 'C']);
  },
  async 'a callback is not kept waiting by the network'() {
    const it = page({ data: silent, answers: ['hangs'] });
    let heard;
    it.window.anole.track('A', {}, {}, () => { heard = it.now; });
    await it.pass(1000);
    assert.equal(heard, START + 300);
  },
  async 'what cannot be written as JSON harms nobody else'() {
    const it = page({ data: silent });
    const knot = {};
    knot.knot = knot;
    const knotted = it.window.anole.track('Knot', knot);
    it.window.anole.track();
    it.window.anole.track('Good');
    await it.pass(300);
    assert.equal((await knotted).sent, false);
    assert.equal(it.names(), 'track Good');
    assert.match(it.complaints.join('\n'), /JSON[\s\S]*name of an event/);
  },

  // --- who it is

  async 'a user stays known, and reset forgets him and makes another visitor'() {
    const it = page({ data: silent });
    const { anole } = it.window;
    anole.identify('u-1', { plan: 'pro' });
    anole.track('A');
    await it.pass(300);
    const [identify, track] = it.batch(0);
    assert.deepEqual([track.userId, track.anonymousId], ['u-1', identify.anonymousId]);
    assert.deepEqual([anole.user().id(), anole.user().anonymousId()], ['u-1', identify.anonymousId]);
    anole.reset();
    anole.track('B');
    await it.pass(300);
    assert.equal(it.batch(1)[0].userId, undefined);
    assert.notEqual(it.batch(1)[0].anonymousId, identify.anonymousId);
  },
  async 'another user of the same device is another visitor'() {
    const it = page({ data: silent });
    const { anole } = it.window;
    const first = anole.user().anonymousId();
    anole.identify('u-1');
    assert.equal(anole.user().anonymousId(), first);
    anole.identify('u-1');
    assert.equal(anole.user().anonymousId(), first);
    anole.identify('u-2');
    assert.notEqual(anole.user().anonymousId(), first);
  },
  async 'another tab learns of the user'() {
    const one = page({ data: silent });
    const other = page({ data: silent, local: one.local });
    one.window.anole.identify('u-1');
    other.window.anole.track('T');
    await other.pass(300);
    const track = other.events().find((event) => event.event === 'T');
    assert.deepEqual([track.userId, track.anonymousId], ['u-1', one.window.anole.user().anonymousId()]);
  },
  async 'an id that was made here gives way to the one of the server\'s cookie, once'() {
    const it = page({ data: silent, answers: [{ headers: { 'X-Anole-Visitor': 'from-the-cookie' } }] });
    const { anole } = it.window;
    const made = anole.user().anonymousId();
    anole.track('A');
    await it.pass(300);
    assert.ok(it.sent[0].to.endsWith(`?fresh=${made}`));
    anole.track('B');
    await it.pass(300);
    assert.equal(it.batch(1)[0].anonymousId, 'from-the-cookie');
    assert.ok(it.sent[1].to.endsWith('/v1/batch'), 'it is not asked again');
    anole.reset();
    anole.track('C');
    await it.pass(300);
    assert.ok(it.sent[2].to.endsWith('/v1/batch'), 'who was reset shall not be found again');
  },
  async 'the campaign and the click ids hold for the tab'() {
    const first = page({ data: silent });
    first.window.anole.track('A');
    const second = page({ data: silent, at: 'https://shop.test/checkout', local: first.local, session: first.session });
    second.window.anole.track('B');
    await second.pass(300);
    const event = second.events().find((it) => it.event === 'B');
    assert.deepEqual([event.context.campaign, event.context.click_ids], [{ source: 's', name: 'c' }, { gclid: '1' }]);
    const other = page({ data: silent, at: 'https://shop.test/checkout', local: first.local });
    other.window.anole.track('C');
    await other.pass(300);
    assert.equal(other.events().find((it) => it.event === 'C').context.click_ids, undefined);
  },

  // --- consent

  async 'consent is said with each event, is remembered, and is added to'() {
    const it = page({ data: silent });
    it.window.anole.consent({ analytics: true, marketing: false });
    it.window.anole.track('A');
    it.window.anole.consent({ marketing: true });
    it.window.anole.track('B');
    it.window.anole.consent(null);
    it.window.anole.track('C');
    await it.pass(300);
    assert.deepEqual(it.batch(0).map((event) => event.consent), [
      { analytics: true, marketing: false }, { analytics: true, marketing: true }, undefined,
    ]);
    it.window.anole.consent({ analytics: true });
    const next = page({ data: silent, local: it.local });
    next.window.anole.track('D');
    await next.pass(300);
    assert.deepEqual(next.batch(0)[0].consent, { analytics: true });
  },
  async 'what was said of consent before the script came holds for the first page view'() {
    const it = page({ early: [['track', 'T'], ['consent', { analytics: true }]] });
    await it.pass(300);
    assert.equal(it.names(), 'page T');
    assert.deepEqual(it.batch(0)[0].consent, { analytics: true });
  },
  async 'who said no leaves nothing on the device but that'() {
    const it = page({ data: silent });
    it.window.anole.identify('u-1');
    await it.pass(300);
    it.window.anole.consent({ analytics: false });
    it.window.anole.track('T');
    assert.deepEqual({ ...it.local }, { 'anole.ids': '{"c":{"analytics":false}}' });
    assert.deepEqual({ ...it.session }, {});
    await it.pass(300);
    assert.deepEqual(it.batch(1)[0].consent, { analytics: false }, 'the server decides what becomes of it');
    const next = page({ local: it.local });
    await next.pass(300);
    assert.deepEqual([next.batch(0)[0].consent, next.batch(0)[0].userId], [{ analytics: false }, undefined]);
    assert.deepEqual({ ...next.local }, { 'anole.ids': '{"c":{"analytics":false}}' });
  },
  async 'where consent is waited for nothing is written and nothing sent before it'() {
    const it = page({ data: { consent: 'wait' } });
    it.window.anole.track('A');
    await it.pass(5000);
    it.fire('pagehide');
    assert.deepEqual([it.sent.length, it.beacons.length, { ...it.local }, { ...it.session }], [0, 0, {}, {}]);
    it.window.anole.consent({ analytics: true });
    it.window.anole.track('B');
    await it.pass(300);
    assert.equal(it.names(), 'page A B');
    assert.ok(it.batch(0).every((event) => event.consent.analytics && event.anonymousId === it.batch(0)[0].anonymousId));
    const next = page({ data: { consent: 'wait' }, local: it.local });
    await next.pass(300);
    assert.equal(next.names(), 'page', 'it is asked once');
  },

  // --- pages

  async 'a page view follows the address, with the page before it as referrer'() {
    const it = page({ at: 'https://shop.test/one' });
    await it.pass(300);
    it.window.history.pushState({}, '', '/two?x=1');
    it.window.document.title = 'Two';
    await it.pass(300);
    it.window.history.replaceState({}, '', '/two?x=1#part');
    await it.pass(300);
    it.window.location.href = 'https://shop.test/one';
    it.fire('popstate');
    await it.pass(500);
    const pages = it.events();
    assert.deepEqual(pages.map((event) => event.context.page.url), [
      'https://shop.test/one', 'https://shop.test/two?x=1', 'https://shop.test/one',
    ]);
    assert.deepEqual(pages.map((event) => event.context.page.referrer), [
      'https://search.test/', 'https://shop.test/one', 'https://shop.test/two?x=1',
    ]);
    assert.equal(pages[1].context.page.title, 'Two');
  },
  async 'a redirect is one page view, and a page view comes before what is done there'() {
    const it = page({ at: 'https://shop.test/one' });
    it.window.history.pushState({}, '', '/login');
    it.window.history.replaceState({}, '', '/account');
    it.window.anole.track('Opened');
    await it.pass(500);
    assert.equal(it.names(), 'page page Opened');
    assert.equal(it.batch(0)[1].context.page.path, '/account');
  },
  async 'a page that calls by itself is not counted twice'() {
    const it = page({ at: 'https://shop.test/one', early: [['page', 'One']] });
    await it.pass(300);
    it.window.history.pushState({}, '', '/two');
    it.window.anole.page('Two');
    await it.pass(500);
    assert.deepEqual(it.events().map((event) => event.name), ['One', 'Two']);
    assert.equal(it.events()[1].context.page.referrer, 'https://shop.test/one');
  },
  async 'page views can be switched off, all or those of the history, and hashes on'() {
    const views = async (data, move) => {
      const it = page({ data, at: 'https://shop.test/one' });
      move(it);
      await it.pass(500);
      return it.events().map((event) => event.context.page.url.slice(17));
    };
    const push = (it) => it.window.history.pushState({}, '', '/two');
    const jump = (it) => { it.window.location.hash = 'x'; it.fire('hashchange'); };
    assert.deepEqual(await views({}, push), ['/one', '/two']);
    assert.deepEqual(await views({ page: 'off' }, push), []);
    assert.deepEqual(await views({ navigation: 'off' }, push), ['/one']);
    assert.deepEqual(await views({}, jump), ['/one']);
    assert.deepEqual(await views({ hash: 'on' }, jump), ['/one', '/one#x']);
  },
  async 'a page that is prepared is not seen before it is shown, and one that comes back is seen again'() {
    const it = page({ prerendering: true });
    await it.pass(1000);
    assert.equal(it.sent.length, 0);
    it.fire('prerenderingchange');
    await it.pass(300);
    assert.equal(it.names(), 'page');
    it.fire('pagehide');
    it.fire('pageshow', { persisted: true });
    await it.pass(300);
    assert.equal(it.names(), 'page page');
    it.fire('pageshow', { persisted: false });
    await it.pass(300);
    assert.equal(it.names(), 'page page');
  },

  // --- what goes wrong

  async 'what fails is tried again with the same ids, after the time the server names, also by the next page'() {
    for (const status of [429, 503, 500, 408]) {
      const it = page({ data: silent, answers: [{ status, headers: { 'Retry-After': '120' } }] });
      it.window.anole.track('R');
      await it.pass(300);
      const id = it.batch(0)[0].messageId;
      it.fire('pagehide');
      assert.equal(it.beacons.length, 0, 'nothing is sent to a server that asked for silence');
      const next = page({ data: silent, local: it.local, now: it.now });
      await next.pass(119_000);
      assert.equal(next.sent.length, 0, 'nor by the next page');
      await next.pass(2000);
      assert.deepEqual(next.batch(0).map((event) => event.messageId), [id]);
      assert.deepEqual(next.left(), []);
    }
  },
  async 'attempts without an answer come at growing distances, and at once when the network is back'() {
    const it = page({ data: silent, answers: Array(20).fill('offline') });
    it.window.anole.track('R');
    await it.pass(10 * 60_000);
    assert.ok(it.sent.length >= 12 && it.sent.length <= 20, `${it.sent.length} attempts in ten minutes`);
    it.fire('online');
    await it.pass(10);
    assert.equal(new Set(it.events().map((event) => event.messageId)).size, 1);
    const calm = page({ data: silent, answers: Array(9).fill('offline') });
    calm.window.anole.track('R');
    await calm.pass(60_000);
    const before = calm.sent.length;
    calm.fire('online');
    await calm.pass(10);
    assert.equal(calm.sent.length, before + 1);
  },
  async 'what is refused is not tried again'() {
    for (const status of [400, 401, 403, 404, 410, 413]) {
      const it = page({ answers: [{ status }] });
      await it.pass(300_000);
      assert.equal(it.sent.length, 1);
      assert.deepEqual(it.left(), []);
    }
  },
  async 'the queue is bounded by count, size and age, and so is a request'() {
    const many = page({ data: silent, answers: ['hangs'] });
    for (let i = 0; i < 350; i++) many.window.anole.track('E' + i);
    assert.equal(many.left().length, 300);
    assert.ok(many.local[many.left().sort()[0]].includes('"E50"'), 'the oldest went');
    const large = page({ data: silent });
    for (let i = 0; i < 100; i++) large.window.anole.track('E' + i, { x: 'ä'.repeat(5000) });
    const kept = large.left().reduce((sum, name) => sum + large.local[name].length, 0);
    assert.ok(kept < 310_000 && kept > 250_000, `${kept} characters`);
    await large.pass(1000);
    assert.ok(large.sent.length > 10 && large.sent.every(({ body }) => Buffer.byteLength(body) < 31_000));
    assert.equal(new Set(large.events().map((event) => event.messageId)).size, large.events().length);
    const old = page({ data: silent, answers: Array(99).fill('offline') });
    old.window.anole.track('Old');
    await old.pass(300);
    const next = page({ data: silent, local: old.local, now: old.now + 73 * HOUR });
    await next.pass(HOUR);
    assert.deepEqual([next.sent.length, next.left()], [0, []]);
  },
  async 'an event that is larger than what outlives a page is sent while the page lives'() {
    const it = page({ data: silent });
    it.window.anole.track('Large', { x: 'y'.repeat(64_500) });
    await it.pass(300);
    assert.equal(it.sent[0].keepalive, false);
    it.window.anole.track('Middle', { x: 'y'.repeat(40_000) });
    await it.pass(300);
    assert.equal(it.sent[1].keepalive, true);
  },

  // --- the page's end

  async 'what is left when the page goes is handed to the browser, and repeated by the next page with the same ids'() {
    const it = page({ data: silent });
    it.window.anole.track('Bye');
    it.fire('pagehide');
    const [event] = JSON.parse(it.beacons[0].body).batch;
    assert.equal(event.event, 'Bye');
    const next = page({ data: silent, local: it.local, now: it.now + 1000 });
    await next.pass(1000);
    assert.equal(next.sent.length, 0, 'the browser gets its time');
    await next.pass(5000);
    assert.deepEqual(next.events().map((one) => one.messageId), [event.messageId]);
    assert.deepEqual(next.left(), []);
  },
  async 'what was handed over longer ago than the server remembers is taken for sent'() {
    const it = page({ data: silent });
    it.window.anole.track('Bye');
    it.fire('pagehide');
    const next = page({ data: silent, local: it.local, now: it.now + HOUR });
    await next.pass(10_000);
    assert.deepEqual([next.sent.length, next.left()], [0, []]);
  },
  async 'a page that goes while a request is under way stays below what the browser takes'() {
    const it = page({ data: silent, answers: ['hangs'] });
    for (let i = 0; i < 4; i++) it.window.anole.track('E' + i, { x: 'y'.repeat(14_000) });
    await it.pass(300);
    for (let i = 4; i < 9; i++) it.window.anole.track('E' + i, { x: 'y'.repeat(14_000) });
    it.fire('pagehide');
    const bytes = it.sent[0].body.length + it.beacons[0].body.length;
    assert.ok(bytes < 65_536 && bytes > 50_000, `${bytes} bytes`);
    const out = [...it.batch(0), ...JSON.parse(it.beacons[0].body).batch];
    assert.equal(new Set(out.map((event) => event.messageId)).size, out.length, 'nothing goes twice');
    const next = page({ data: silent, local: it.local, now: it.now + 1000 });
    await next.pass(10_000);
    const all = new Set([...out, ...next.events()].map((event) => event.messageId));
    assert.equal(all.size, 9, 'what did not fit is sent by the next page');
    assert.deepEqual(next.left(), []);
  },
  async 'without sendBeacon, or where it takes nothing, fetch has to do'() {
    for (const beacon of [false, 'full']) {
      const it = page({ data: silent, beacon });
      it.window.anole.track('Bye');
      it.fire('pagehide');
      assert.deepEqual([it.names(), it.sent[0].keepalive], ['Bye', true]);
    }
  },
  async 'offline, what is left waits for the next page however late it comes'() {
    const it = page({ data: silent });
    it.window.navigator.onLine = false;
    it.window.anole.track('Bye');
    it.fire('pagehide');
    assert.equal(it.beacons.length, 0);
    const next = page({ data: silent, local: it.local, now: it.now + 24 * HOUR });
    await next.pass(300);
    assert.equal(next.names(), 'Bye');
  },
  async 'a request that fails as its page goes leaves its events to the next page'() {
    let fail;
    const it = page({ data: silent, answers: [{ later: new Promise((_, reject) => { fail = reject; }) }] });
    it.window.anole.track('Bye');
    await it.pass(300);
    it.fire('pagehide');
    fail(new TypeError('Failed to fetch'));
    await it.pass(10);
    const next = page({ data: silent, local: it.local, now: it.now });
    await next.pass(5000);
    assert.equal(next.names(), 'Bye');
  },
  async 'a page that is hidden sends what it has, as it may never be seen again'() {
    const it = page({ data: silent });
    it.window.anole.track('A');
    it.window.document.visibilityState = 'hidden';
    it.fire('visibilitychange');
    assert.equal(it.names(), 'A');
    await it.pass(1000);
    assert.deepEqual([it.sent.length, it.left()], [1, []]);
  },

  // --- tabs

  async 'tabs that share the storage neither lose nor repeat what is each other\'s'() {
    const local = new Storage();
    const tabs = [0, 1, 2].map(() => page({ data: silent, local, answers: ['offline', 'offline'] }));
    for (let i = 0; i < 5; i++) tabs.forEach((tab, n) => tab.window.anole.track(`E${n}${i}`));
    for (let second = 0; second < 20; second++) for (const tab of tabs) await tab.pass(1000);
    const ids = tabs.flatMap((tab) => tab.batch(2).map((event) => event.event));
    assert.deepEqual([ids.length, new Set(ids).size], [15, 15]);
    assert.ok(tabs.every((tab) => tab.sent.length === 3));
    assert.deepEqual(tabs[0].left(), []);
  },
  async 'what a tab left that crashed is sent by another after two minutes'() {
    const local = new Storage();
    page({ data: silent, local }).window.anole.track('Crashed');
    const other = page({ data: silent, local });
    await other.pass(110_000);
    assert.equal(other.sent.length, 0);
    await other.pass(20_000);
    assert.equal(other.names(), 'Crashed');
  },
  async 'two keys on one page do not mix, nor do records that somebody broke'() {
    const local = new Storage();
    const one = page({ data: { ...silent, writeKey: 'a' }, local });
    const two = page({ data: { ...silent, writeKey: 'a.b' }, local });
    one.window.anole.track('One');
    two.window.anole.track('Two');
    local.setItem(`anole.q.a.${START}.1.x`, 'nonsense');
    local.setItem('anole.ids', '{"a":');
    for (const it of [one, two]) await it.pass(200_000);
    assert.deepEqual([one.names(), two.names(), Object.keys(local).filter((name) => /^anole\.q/.test(name))], ['One', 'Two', []]);
  },

  // --- where little is allowed

  async 'it works where storage is forbidden, also when the page goes'() {
    const it = page({ local: 'forbidden', session: 'forbidden', answers: [{ status: 503 }] });
    it.window.anole.identify('u-1');
    await it.pass(300);
    await it.pass(5000);
    assert.equal(it.sent.length, 2);
    it.window.anole.track('T');
    it.fire('pagehide');
    const [event] = JSON.parse(it.beacons[0].body).batch;
    assert.deepEqual([event.event, event.userId, event.anonymousId], ['T', 'u-1', it.batch(0)[0].anonymousId]);
  },
  async 'it works where storage is full'() {
    const local = new Storage();
    Object.defineProperty(local, 'isFull', { value: () => true });
    const it = page({ local, answers: [{ status: 503 }] });
    await it.pass(5000);
    assert.equal(it.names(), 'page page');
    assert.equal(new Set(it.events().map((event) => event.messageId)).size, 1);
  },
  async 'the global and the host can be chosen, and twice in a page is once'() {
    const it = page({ data: { global: 'tracker', host: 'https://other.test/data/' }, early: [['track', 'Early']] });
    await it.pass(300);
    assert.equal(it.window.anole, undefined);
    assert.ok(it.sent[0].to.startsWith('https://other.test/data/v1/batch'));
    assert.equal(it.names(), 'page Early');
    const bare = page({ data: { host: 'other.test' } });
    await bare.pass(300);
    assert.ok(bare.sent[0].to.startsWith('https://other.test/v1/batch'));
    const twice = page({ early: { version: '1' } });
    await twice.pass(300);
    assert.equal(twice.sent.length, 0);
    assert.match(page({ data: { writeKey: '' } }).complaints[0], /data-write-key/);
  },
  async 'as a module it takes its options from the call, and its host from its own address'() {
    const it = page({ tag: false });
    const { createAnole } = await moduleIn(it, 'https://data.shop.test/anole.mjs');
    const anole = createAnole({ writeKey: 'wk', page: false });
    anole.track('T');
    await it.pass(300);
    assert.deepEqual([it.names(), it.window.anole], ['T', undefined]);
    assert.ok(it.sent[0].to.startsWith('https://data.shop.test/v1/batch'));
    assert.throws(() => createAnole({}), /writeKey/);
    const bundled = await moduleIn(page({ tag: false }), 'file:///app/anole.mjs');
    assert.throws(() => bundled.createAnole({ writeKey: 'wk' }), /host/);
  },
};

(async () => {
  const wanted = process.argv[2];
  for (const [name, test] of Object.entries(tests)) {
    if (wanted && !name.includes(wanted)) continue;
    await test().catch((error) => { console.error(`${name}\n${error.stack}`); process.exitCode = 1; });
  }
  console.log(`${Object.keys(tests).length} tests`);
})();

/*! anole collector. One tag in the page:
 *    <script async src="https://data.example.com/anole.js" data-write-key="WRITE_KEY"></script>
 *  Other attributes: data-host (where to send; default: where the script comes from), data-page="off" (no page call by
 *  itself).
 *  Before it is loaded, calls may be queued: (window.anole = window.anole || []).push(["track", "Signed Up"]);
 *  Then: anole.page([name], [properties]), anole.track(event, [properties]), anole.identify([userId], [traits]),
 *  anole.group(groupId, [traits]), anole.consent({analytics: true}), anole.reset(). */
(function (w, d) {
  'use strict';
  var tag = d.currentScript || d.querySelector('script[data-write-key]');
  var set = (tag && tag.dataset) || {};
  var key = set.writeKey || '';
  var old = w.anole;
  if (!key || (old && old.version)) return;

  var host = (set.host || (tag.src ? new URL(tag.src, d.baseURI).origin : '')).replace(/\/+$/, '');
  if (!/^https?:/.test(host)) host = w.location.protocol + '//' + host;
  var url = host + '/v1/batch';
  // A path of its own is not needed in storage names: keys of two pipelines on one page must not share a queue.
  var QUEUE = 'anole.queue.' + key, IDS = 'anole.ids';
  var MOST = 100, BYTES = 60000, WAIT = 300, AGE = 864e5;

  // Storage may be forbidden, full or emptied; then memory has to do.
  function load(name, other) {
    try { return JSON.parse(w.localStorage.getItem(name)) || other; } catch (e) { return other; }
  }
  function save(name, value) {
    try {
      if (value == null) w.localStorage.removeItem(name); else w.localStorage.setItem(name, JSON.stringify(value));
    } catch (e) { /* memory has it */ }
  }
  function uuid() {
    var c = w.crypto;
    if (c && c.randomUUID) return c.randomUUID();
    return '10000000-1000-4000-8000-100000000000'.replace(/[018]/g, function (x) {
      var r = c && c.getRandomValues ? c.getRandomValues(new Uint8Array(1))[0] : Math.random() * 256;
      return (+x ^ (r & (15 >> (x / 4)))).toString(16);
    });
  }
  function cookie(name) {
    var found = ('; ' + d.cookie).split('; ' + name + '=')[1];
    if (!found) return '';
    found = found.split(';')[0];
    try { return decodeURIComponent(found); } catch (e) { return found; }
  }

  var ids = load(IDS, {});
  if (!ids.a) { ids.a = uuid(); save(IDS, ids); }

  // The visitor code that Kameleoon's tag keeps. Its cookie reaches the host only within one site; its copy in
  // localStorage, and the cookie's value read here, reach it anywhere.
  function visitor() {
    var code = cookie('kameleoonVisitorCode');
    try {
      code = code || w.localStorage.getItem('kameleoonVisitorCode') || '';
      // Bare, as a JSON text, or as the value of an object. A bare code may look like a number, so it is not parsed.
      if (/^["{]/.test(code)) code = JSON.parse(code);
    } catch (e) { /* there is none, or it is bare */ }
    return String(code.value || code);
  }

  function context() {
    var l = w.location, c = {
      page: { url: l.href, path: l.pathname, referrer: d.referrer, title: d.title, search: l.search },
      userAgent: w.navigator.userAgent,
      locale: w.navigator.language,
      library: { name: 'anole.js', version: api.version }
    };
    try { c.timezone = Intl.DateTimeFormat().resolvedOptions().timeZone; } catch (e) { /* old browser */ }
    new URLSearchParams(l.search).forEach(function (value, name) {
      var utm = /^utm_(.+)/.exec(name), click = /^(gclid|gbraid|wbraid|fbclid|msclkid|ttclid)$/.test(name);
      if (utm) (c.campaign = c.campaign || {})[utm[1] === 'campaign' ? 'name' : utm[1]] = value;
      if (click) (c.click_ids = c.click_ids || {})[name] = value;
    });
    return c;
  }

  var queue = load(QUEUE, []).filter(function (e) { return Date.now() - Date.parse(e.timestamp) < AGE; });
  var timer = 0, flying = 0, tries = 0;

  function add(type, more) {
    var event = { type: type, messageId: uuid(), anonymousId: ids.a, timestamp: new Date().toISOString() };
    if (ids.u) event.userId = ids.u;
    if (ids.c) event.consent = ids.c;
    event.context = context();
    if (ids.g) event.context.groupId = ids.g;
    for (var k in more) if (more[k] !== undefined) event[k] = more[k];
    // Also with identify: it is what ties the user to the visitor.
    var code = visitor();
    if (code) event.properties = Object.assign({ kameleoonVisitorCode: code }, event.properties);
    queue.push(event);
    if (queue.length > MOST) queue.splice(0, queue.length - MOST);
    save(QUEUE, queue);
    later(WAIT);
  }

  function later(ms) { if (!timer) timer = w.setTimeout(flush, ms); }

  // As many events as one request may carry: browsers bound what outlives the page at 64 KiB.
  function batch() {
    var size = 0, n = 0;
    while (n < queue.length && (size += JSON.stringify(queue[n]).length * 1.1 + 1) < BYTES) n++;
    var events = queue.slice(0, n || 1);
    return { events: events, body: JSON.stringify({ writeKey: key, sentAt: new Date().toISOString(), batch: events }) };
  }

  function done(events) {
    var sent = {};
    events.forEach(function (e) { sent[e.messageId] = 1; });
    queue = queue.filter(function (e) { return !sent[e.messageId]; });
    save(QUEUE, queue.length ? queue : null);
  }

  function flush() {
    w.clearTimeout(timer);
    timer = 0;
    if (flying || !queue.length) return;
    var b = batch();
    flying = 1;
    // text/plain needs no preflight; the server reads JSON whatever it is called.
    w.fetch(url, { method: 'POST', body: b.body, keepalive: b.body.length < BYTES, credentials: 'include',
      headers: { 'Content-Type': 'text/plain' } }).then(function (r) {
      // What is wrong stays wrong; what is too much or broken may pass.
      if (r.status < 500 && r.status !== 429 && r.status !== 408) { done(b.events); tries = 0; return 0; }
      return Math.min(300, +r.headers.get('Retry-After') || 0) * 1000 || 1;
    }, function () { return 1; }).then(function (again) {
      flying = 0;
      if (again) again = Math.max(again, Math.min(6e4, 1000 * Math.pow(2, tries++)) * (0.5 + Math.random() / 2));
      if (queue.length) later(again || 0);
    });
  }

  // The page goes: what is left is handed to the browser. It stays queued until the browser has taken it; should it be
  // under way already, the server knows it by its message id.
  function leave() {
    if (!queue.length || !w.navigator.sendBeacon) return;
    var b = batch();
    if (w.navigator.sendBeacon(url, new Blob([b.body], { type: 'text/plain' }))) done(b.events);
  }

  var api = {
    version: '1',
    page: function (name, properties) {
      if (name && typeof name === 'object') { properties = name; name = undefined; }
      add('page', { name: name, properties: properties || {} });
    },
    track: function (event, properties) { add('track', { event: event, properties: properties || {} }); },
    identify: function (id, traits) {
      if (id && typeof id === 'object') { traits = id; id = undefined; }
      if (id != null) { ids.u = String(id); save(IDS, ids); }
      add('identify', { traits: traits || {} });
    },
    group: function (id, traits) {
      ids.g = String(id);
      save(IDS, ids);
      add('group', { groupId: ids.g, traits: traits || {} });
    },
    consent: function (given) { ids.c = given; save(IDS, ids); },
    reset: function () { ids = { a: uuid(), c: ids.c }; save(IDS, ids); },
    flush: flush,
    push: function (call) { var f = api[call[0]]; if (f) f.apply(api, [].slice.call(call, 1)); }
  };
  w.anole = api;

  d.addEventListener('visibilitychange', function () { if (d.visibilityState === 'hidden') leave(); });
  w.addEventListener('pagehide', leave);
  w.addEventListener('online', function () { later(0); });

  if (set.page !== 'off') api.page();
  if (Array.isArray(old)) old.forEach(api.push);
  if (queue.length) later(WAIT);
})(window, document);

// Events on their way. Each lies in storage under a name of its own until the server has answered for it, so that a page
// which ends, a network that is away or another tab costs nothing: one shared list would be overwritten by the next tab.
//
// A record is `owner|at|handed|event`. Its owner is the page that will send it, or nobody once that page is gone; `at` is
// when somebody last tried; `handed` says that it was given to the browser and no answer was seen. What a page left behind
// is sent again by the next one: the server knows it by its message id. It recognises those for an hour, so what was handed
// over longer ago is taken for sent.

const MOST = 300;
const MOST_TEXT = 3e5;
const AGE = 2592e5; // 3 days
const SURE = 3e6; // 50 minutes
const WAIT = 250;
// Browsers bound what outlives its page at 64 KiB over all requests together: half of it for a batch, so that there is room
// for what happens while it is under way.
const BATCH = 3e4;
const ROOM = 64e3;
// For how long what is somebody else's is left alone: the last request of a page that is gone, and a page that may live.
const GONE = 3e3;
const ALIVE = 12e4;

const bytes = (text) => new Blob([text]).size;

// `line.url()` is where to send; `line.heard` is told what an answer says of the visitor.
export function makeQueue(key, box, line) {
  const prefix = `anole.q.${key}.`;
  const hold = `anole.wait.${key}`;
  const me = Math.random().toString(36).slice(2, 10) || 'me';
  const waiting = {};
  // Nobody once the page is gone: an attempt that fails as it goes must not claim its events again.
  let owner = me;
  let flying = [];
  let carried = 0;
  let count = 1e6;
  let timer = 0;
  let dueAt = 0;
  let tries = 0;
  let pause = 0;

  // All that is to be sent, oldest first.
  function pending() {
    const now = Date.now();
    const found = [];
    for (const name of box.names().sort()) {
      const [, made] = (name.startsWith(prefix) && /^(\d{13})\.\d+\.\w+$/.exec(name.slice(prefix.length))) || [];
      if (!made) continue;
      const [all, by, at, handed, text] = /^(\w*)\|(\d+)\|(\d)\|(\{.*\})$/s.exec(box.get(name)) || [];
      if (!all || Math.abs(now - made) > AGE || (+handed && now - at > SURE)) box.drop(name);
      else found.push({ name, by, text, due: by === me ? 0 : +at + (by ? ALIVE : GONE) });
    }
    return found;
  }

  function mark(records, by, handed) {
    for (const { name, text } of records) {
      // What is no longer there was answered for meanwhile, by another tab.
      if (box.get(name)) box.set(name, `${by}|${Date.now()}|${+handed}|${text}`, box.keeps(name));
    }
  }

  function tell(records, sent) {
    for (const { name } of records) {
      if (waiting[name]) waiting[name](sent);
      delete waiting[name];
    }
  }

  // As many as fit, but at least so many.
  function fitting(records, room, least) {
    let size = 200;
    let n = 0;
    while (n < records.length && (size += bytes(records[n].text) + 1) < room) n++;
    return records.slice(0, Math.max(n, least));
  }

  function wrap(records) {
    return `{"writeKey":${JSON.stringify(key)},"sentAt":${JSON.stringify(new Date())},"batch":[${records.map((it) => it.text)}]}`;
  }

  // text/plain needs no preflight; the server reads JSON whatever it is called.
  const post = (url, body, keepalive) => fetch(url, {
    method: 'POST', body, keepalive, credentials: 'include', headers: { 'Content-Type': 'text/plain' },
  });

  // Until when nothing may be sent: as the server said, to any page, or as was resolved after a failure.
  const until = () => Math.max(pause, Math.min(+box.get(hold) || 0, Date.now() + 6e5));

  function later(ms) {
    const at = Date.now() + ms;
    if (timer && dueAt <= at) return;
    clearTimeout(timer);
    dueAt = at;
    timer = setTimeout(flush, Math.min(ms, 6e5));
  }

  async function flush() {
    clearTimeout(timer);
    timer = 0;
    if (carried) return;
    const now = Date.now();
    const all = pending();
    if (!all.length) return;
    if (until() > now) return later(until() - now);
    const batch = fitting(all.filter((it) => it.due <= now), BATCH, 1);
    if (!batch.length) return later(Math.min(...all.map((it) => it.due)) - now);
    const body = wrap(batch);
    carried = bytes(body);
    flying = batch;
    mark(batch, owner, true);
    let again = true;
    let wait = 0;
    let sent = false;
    try {
      const url = line.url();
      const { status, ok, headers } = await post(url, body, carried < ROOM);
      sent = ok;
      line.heard(url, headers.get('X-Anole-Visitor'));
      // What is wrong stays wrong; what is too much, too slow or broken may pass.
      again = status > 499 || status === 429 || status === 408;
      wait = again && Math.min(600, +headers.get('Retry-After') || 0) * 1e3;
    } catch { /* no network, or no server */ }
    flying = [];
    carried = 0;
    if (again) {
      mark(batch, owner, false);
      pause = Date.now() + Math.max(wait, Math.min(6e4, 1e3 * 2 ** tries++) * (0.5 + Math.random() / 2));
      if (wait) box.set(hold, String(Date.now() + wait));
    } else {
      for (const { name } of batch) box.drop(name);
      tries = pause = 0;
    }
    tell(batch, sent);
    if (pending().length) later(0);
  }

  // Gives what may be lost otherwise to the browser; whether it took it.
  function give(body) {
    try {
      if (navigator.sendBeacon(line.url(), new Blob([body], { type: 'text/plain' }))) return true;
    } catch { /* there is none */ }
    try {
      post(line.url(), body, true).catch(() => {});
      return true;
    } catch { /* it stays */ }
  }

  return {
    later,
    flush,
    // Takes an event; `told` hears once whether the server has it.
    add(text, told) {
      const name = `${prefix}${Date.now()}.${count++}.${me}`;
      if (told) waiting[name] = told;
      box.set(name, `${me}|${Date.now()}|0|${text}`);
      // The oldest go where there are too many.
      let room = MOST_TEXT;
      const old = pending().reverse().filter((it, n) => n >= MOST || (room -= it.text.length) < 0);
      for (const it of old) box.drop(it.name);
      tell(old, false);
      later(WAIT);
    },
    // The page goes. What is left is given to the browser; where that would lead nowhere it waits for the next page.
    leave() {
      const calm = !tries && navigator.onLine !== false && until() <= Date.now();
      const under = flying.map((it) => it.name);
      const mine = pending().filter((it) => it.by === me && !under.includes(it.name));
      const batch = fitting(mine.filter((it) => calm || !box.keeps(it.name)), ROOM - carried, 0);
      const handed = batch.length && give(wrap(batch));
      owner = '';
      mark(flying, owner, true);
      mark(mine, owner, false);
      if (handed) mark(batch, owner, true);
      tell(mine, handed);
    },
    // The network is back, or the page: what was resolved after a failure is forgotten.
    wake() {
      owner = me;
      pause = tries = 0;
      later(0);
    },
  };
}

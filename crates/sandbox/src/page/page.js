// The page of the sandbox. Everything that arrived is put in as text, never as markup.
"use strict";

const VERDICTS = ["accepted", "doubtful", "duplicate", "error", "lost"];
const ROWS_MAX = 500;

const FAULTS = [
  ["Answer 500", { status: 500 }],
  ["Answer 503, retry after 5 s", { status: 503, retry_after: 5 }],
  ["Answer 429 over 1 request/s", { rate: 1, retry_after: 1 }],
  ["Refuse batches: 5 % poison", { poison: { fraction: 0.05 } }],
  ["Answer 403", { status: 403 }],
  ["Wait 2 s", { delay_ms: 2000 }],
  ["Hang", { hang: true }],
  ["Cut the connection", { reset: "head" }],
  ["Take the events, then cut", { reset: "head", processed: true }],
  ["Answer success, lose events", { lose: true }],
  ["Token endpoint: 500", { status: 500, on: "token" }],
];

const at = (id) => document.getElementById(id);
const state = { after: 0, request: 0, generation: null, events: [], requests: [], tab: "events", verdict: null, find: "", paused: false, stats: null, sink: false };

// A node with text or children.
function node(tag, attributes, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const count = (number, one, many) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;

function clock(text) {
  const time = new Date(text);
  const pad = (number, digits) => String(number).padStart(digits, "0");
  return `${pad(time.getHours(), 2)}:${pad(time.getMinutes(), 2)}:${pad(time.getSeconds(), 2)}.${pad(time.getMilliseconds(), 3)}`;
}

// What an event is about, in a few words.
function gist(event) {
  let fields = {};
  try { fields = JSON.parse(event.raw); } catch { fields = Object.fromEntries(new URLSearchParams(event.raw)); }
  if (!fields || typeof fields !== "object") return event.raw;
  const kind = String(event.event_type || "").toUpperCase();
  if (kind === "PAGE") return fields.title ? `${fields.title}, ${fields.href}` : String(fields.href ?? "");
  if (kind === "CONVERSION") {
    const parts = [`goal ${fields.goalId ?? "missing"}`];
    // The number as it was sent: 23.50 stays 23.50.
    const sent = /"revenue"\s*:\s*("[^"]*"|[^,}\s]+)/.exec(event.raw);
    if (fields.revenue !== undefined) parts.push(`revenue ${sent ? sent[1] : fields.revenue}`);
    if (String(fields.negative) === "true") parts.push("negative");
    return parts.join(", ");
  }
  const known = ["nonce", "eventType", "visitorCode"];
  return Object.entries(fields).filter(([name]) => !known.includes(name)).map(([name, value]) => `${name} ${typeof value === "object" ? JSON.stringify(value) : value}`).join(", ");
}

function reasons(list) {
  if (!list.length) return null;
  const weights = ["loss", "doubt", "note"];
  const sorted = [...list].sort((one, other) => weights.indexOf(one.weight) - weights.indexOf(other.weight));
  return node("ul", {}, ...sorted.map((reason) => node("li", {}, node("b", { class: reason.weight }, reason.weight), reason.text)));
}

function facts(pairs) {
  const list = node("dl", {});
  for (const [name, value] of pairs) if (value !== null && value !== undefined && value !== "") list.append(node("dt", {}, name), node("dd", { class: "mono" }, String(value)));
  return list;
}

// A row whose inside is made when it is first opened.
function row(kind, summary, inside) {
  const details = node("details", { class: kind }, node("summary", {}, ...summary));
  details.addEventListener("toggle", () => {
    if (details.open && !details.querySelector(".inside")) details.append(inside());
  });
  return details;
}

function eventRow(event) {
  const loudest = event.reasons.find((reason) => reason.weight === "loss") || event.reasons.find((reason) => reason.weight === "doubt");
  const why = loudest ? loudest.text : gist(event);
  return row("event", [
    node("span", { class: "time" }, clock(event.at)),
    node("span", { class: `badge ${event.verdict}` }, event.verdict),
    node("span", {}, event.event_type ?? "no type"),
    node("span", { class: loudest ? event.verdict : "why", title: why }, why),
    node("span", { class: "side mono", title: event.visitor ?? "" }, event.visitor ?? "no visitor"),
    node("span", { class: "side end" }, event.site ?? ""),
  ], () => node("div", { class: "inside" },
    reasons(event.reasons),
    facts([["number", `${event.number}, in request ${event.request}`], ["nonce", event.nonce], ["visitor", event.visitor], ["site", event.site]]),
    node("pre", {}, event.raw)));
}

function requestRow(request) {
  const good = request.status !== null && request.status < 300;
  const verdicts = VERDICTS.filter((verdict) => request.verdicts[verdict]).map((verdict) => `${request.verdicts[verdict]} ${verdict}`).join(", ");
  return row("request", [
    node("span", { class: "side" }, `#${request.number}`),
    node("span", { class: "time" }, clock(request.at)),
    node("b", { class: good ? "accepted" : "lost" }, String(request.status ?? "none")),
    node("span", { class: good && !request.why ? "why" : "lost", title: request.why ?? verdicts }, request.why ?? verdicts),
    node("span", { class: "side end" }, count(request.events, "event", "events")),
    node("span", { class: "side end" }, `${request.bytes.toLocaleString("en")} B`),
    node("span", { class: "side end" }, request.site ?? ""),
  ], () => {
    const inside = node("div", { class: "inside" }, facts([["request", request.target], ["answer", request.status ?? "none: the connection was closed or left hanging"], ["why", request.why]]), node("p", { class: "quiet" }, "Loading."));
    fetch(`/_sandbox/requests?limit=1&after=${request.number - 1}&upto=${request.number}`).then((answer) => answer.json()).then(({ requests }) => {
      inside.lastChild.remove();
      if (!requests.length) return inside.append(node("p", { class: "quiet" }, "This request is forgotten already."));
      const whole = requests[0];
      inside.append(facts(whole.headers), node("pre", {}, whole.body), node("p", {}, node("a", { href: `/_sandbox/requests/${request.number}/body`, download: `request-${request.number}` }, "The exact bytes")));
    }).catch(() => { inside.lastChild.textContent = "It could not be loaded."; });
    return inside;
  });
}

const matches = (event) => (!state.verdict || event.verdict === state.verdict) && (!state.find || `${event.raw} ${event.visitor} ${event.site}`.toLowerCase().includes(state.find));
const matchesRequest = (request) => !state.find || `${request.target} ${request.status} ${request.why}`.toLowerCase().includes(state.find);

function empty() {
  if (state.sink) return node("div", { class: "empty" }, "This sandbox is a sink: it counts, and keeps nothing.");
  const any = state.tab === "events" ? state.events.length : state.requests.length;
  if (any) return node("div", { class: "empty" }, "Nothing of this kind among the newest.");
  return node("div", { class: "empty" }, "Nothing has arrived yet. Send events to", node("code", {}, `POST ${location.origin}/visit/events?siteCode=f17c21u1ag&json=true`));
}

// All rows anew; new arrivals are put on top by `add`.
function draw() {
  const list = at("list");
  const rows = state.tab === "events" ? state.events.filter(matches).map(eventRow) : state.requests.filter(matchesRequest).map(requestRow);
  list.replaceChildren(...(rows.length ? rows.reverse() : [empty()]));
  at("chips").hidden = state.tab !== "events";
  trim();
}

function add(events, requests) {
  state.events = state.events.concat(events).slice(-ROWS_MAX);
  state.requests = state.requests.concat(requests).slice(-ROWS_MAX);
  const rows = state.tab === "events" ? events.filter(matches).map(eventRow) : requests.filter(matchesRequest).map(requestRow);
  if (!rows.length) return;
  const list = at("list");
  if (list.querySelector(".empty")) list.replaceChildren();
  list.prepend(...rows.reverse());
  trim();
}

function trim() {
  const list = at("list");
  while (list.children.length > ROWS_MAX) list.lastChild.remove();
  const total = state.stats ? (state.tab === "events" ? state.stats.events : state.stats.requests) : 0;
  const shown = state.tab === "events" ? state.events.length : state.requests.length;
  at("end").hidden = total <= shown || shown === 0;
  at("end").textContent = `The newest ${shown.toLocaleString("en")} of ${total.toLocaleString("en")}.`;
}

function say(stats) {
  const verdict = (name) => stats.verdicts[name] || 0;
  let text = "Nothing has arrived yet.";
  if (stats.requests) {
    const refused = Object.entries(stats.answers).filter(([status]) => !(status >= 200 && status < 300)).reduce((sum, [, number]) => sum + number, 0);
    const parts = [`${count(stats.events, "event", "events")} arrived in ${count(stats.requests, "request", "requests")}.`];
    const bad = verdict("lost") + verdict("error");
    const doubtful = verdict("doubtful");
    if (bad) parts.push(`Kameleoon would lose ${bad === stats.events ? "all" : bad.toLocaleString("en")} of them.`);
    else if (doubtful) parts.push(`None would be lost, ${doubtful.toLocaleString("en")} ${doubtful === 1 ? "is" : "are"} doubtful.`);
    else if (stats.events && !state.sink) parts.push("All is well with them.");
    if (refused) parts.push(`${count(refused, "request was", "requests were")} refused or not answered.`);
    text = parts.join(" ");
  }
  const said = at("said");
  said.classList.remove("gone");
  // Set only when it differs, as a screen reader reads what is set.
  if (said.textContent !== text) said.textContent = text;
  document.title = stats.events ? `${stats.events.toLocaleString("en")} events, anole sandbox` : "anole sandbox";
}

function chips(stats) {
  at("chips").replaceChildren(...VERDICTS.map((verdict) => {
    const number = stats.verdicts[verdict] || 0;
    const chip = node("button", { class: verdict, "aria-pressed": String(state.verdict === verdict), onclick: () => {
      state.verdict = state.verdict === verdict ? null : verdict;
      chips(state.stats);
      draw();
    } }, node("b", {}, number.toLocaleString("en")), ` ${verdict}`);
    chip.disabled = !number && state.verdict !== verdict;
    return chip;
  }));
}

function describe(fault) {
  const parts = [];
  if (fault.poison) {
    const { nonces, goals, visitors, fraction } = fault.poison;
    const marked = [];
    if (fraction) marked.push(`${+(fraction * 100).toFixed(3)} % of all events`);
    if (goals.length) marked.push(`goals ${goals.join(", ")}`);
    if (visitors.length) marked.push(`visitors ${visitors.join(", ")}`);
    if (nonces.length) marked.push(count(nonces.length, "nonce", "nonces"));
    parts.push(`batches with ${marked.join(" or ")}:`);
  }
  if (fault.rate) parts.push(`over ${count(fault.rate, "request", "requests")} a second:`);
  if (fault.delay_ms) parts.push(`wait ${fault.delay_ms / 1000} s`);
  if (fault.processed) parts.push("take the events, then");
  if (fault.hang) parts.push("hang");
  else if (fault.reset) parts.push(fault.reset === "head" ? "cut the connection" : "cut the answer off in the middle");
  else if (fault.lose) parts.push("answer success and lose the events");
  else if (fault.status || fault.rate || fault.poison) parts.push(`answer ${fault.status || (fault.rate ? 429 : 400)}`);
  if (fault.retry_after !== undefined) parts.push(typeof fault.retry_after === "number" ? `(retry after ${fault.retry_after} s)` : `(retry after ${fault.retry_after})`);
  if (fault.on) parts.unshift(fault.on === "token" ? "token endpoint:" : "both endpoints:");
  if (fault.site) parts.push(`for ${fault.site}`);
  const text = parts.join(" ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

let shownFaults = "";
function faults(list) {
  const text = JSON.stringify(list);
  if (text === shownFaults) return;
  shownFaults = text;
  const rows = list.map((fault) => node("div", { class: "fault" },
    node("div", {}, describe(fault), node("small", {}, `hit ${count(fault.hits, "request", "requests")}${fault.left === undefined ? "" : `, ${fault.left} to go`}`)),
    node("button", { onclick: () => change("DELETE", `/_sandbox/faults?id=${fault.id}`) }, "Heal")));
  if (list.length > 1) rows.push(node("button", { onclick: () => change("DELETE", "/_sandbox/faults") }, "Heal all"));
  at("active").replaceChildren(...rows);
}

function sites(stats) {
  const select = at("site");
  const known = new Set([...select.options].map((option) => option.value));
  for (const site of Object.keys(stats.sites)) if (!known.has(site)) select.append(node("option", { value: site }, site));
}

async function change(method, path, body) {
  const wrong = at("wrong");
  try {
    const answer = await fetch(path, { method, body: body && JSON.stringify(body) });
    wrong.hidden = answer.ok;
    if (!answer.ok) wrong.textContent = (await answer.json()).message;
  } catch {
    wrong.hidden = false;
    wrong.textContent = "The sandbox does not answer.";
  }
  await look();
}

let looking = false;
async function look() {
  if (looking) return;
  looking = true;
  try {
    const answer = await fetch(`/_sandbox/live?after=${state.after}&request=${state.request}`);
    const page = await answer.json();
    if (state.generation !== null && page.generation !== state.generation) Object.assign(state, { events: [], requests: [] });
    const anew = page.generation !== state.generation;
    state.generation = page.generation;
    state.stats = page.stats;
    state.sink = page.sink;
    say(page.stats);
    chips(page.stats);
    faults(page.faults);
    sites(page.stats);
    if (page.events.length || page.requests.length) {
      state.after = page.newest;
      state.request = Math.max(state.request, ...page.requests.map((request) => request.number));
      add(page.events, page.requests);
    }
    if (anew) draw();
    trim();
  } catch {
    at("said").classList.add("gone");
    at("said").textContent = "The sandbox does not answer. Has it been stopped?";
  } finally {
    looking = false;
  }
}

// The tab is in the address, so that it survives a reload and can be sent to a colleague.
function choose(tab) {
  state.tab = tab;
  history.replaceState(null, "", `#${tab}`);
  for (const name of ["events", "requests"]) at(`tab-${name}`).setAttribute("aria-selected", String(name === tab));
  at("find").placeholder = `Find in ${tab}`;
  draw();
}

at("address").textContent = location.origin;
at("tab-events").addEventListener("click", () => choose("events"));
at("tab-requests").addEventListener("click", () => choose("requests"));
at("find").addEventListener("input", (input) => { state.find = input.target.value.trim().toLowerCase(); draw(); });
at("pause").addEventListener("click", (click) => { state.paused = !state.paused; click.target.textContent = state.paused ? "Go on" : "Pause"; if (!state.paused) look(); });
at("forget").addEventListener("click", () => change("DELETE", "/_sandbox/events"));
at("faults").append(...FAULTS.map(([name, fault]) => node("button", { onclick: () => {
  const times = Number(at("times").value);
  const site = at("site").value;
  change("POST", "/_sandbox/faults", { ...fault, ...(times && { times }), ...(site && fault.on !== "token" && { site }) });
} }, name)));
choose(location.hash === "#requests" ? "requests" : "events");
look();
setInterval(() => { if (!state.paused && !document.hidden) look(); }, 1000);

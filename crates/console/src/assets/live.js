// The live feed as rows of a table. The server bounds what it sends; the page bounds what it keeps.
'use strict';
{
  const MOST = 500;
  const table = document.getElementById('live');
  const rows = table.tBodies[0];
  const [state, note, hold, clear, empty] = ['live-state', 'live-note', 'live-hold', 'live-clear', 'live-empty'].map(id => document.getElementById(id));
  const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', fractionalSecondDigits: 3, hourCycle: 'h23' });
  const tones = { delivered: 'good', accepted: 'good', waiting: 'wait', deferred: 'wait', parked: 'warn', lost: 'bad', expired: 'bad', rejected: 'bad' };
  let held = [];
  let isHeld = false;
  let source;

  const cell = (row, text, name) => {
    const made = row.insertCell();
    if (name) made.className = name;
    made.textContent = text ?? '';
    return made;
  };

  function badge(into, text, tone) {
    const made = into.appendChild(document.createElement('span'));
    made.className = `badge ${tone ?? tones[text] ?? 'dull'}`;
    made.textContent = text;
  }

  function link(into, text, href, name) {
    const made = into.appendChild(document.createElement('a'));
    made.href = href;
    made.textContent = text;
    if (name) made.className = name;
  }

  function row(told) {
    const made = document.createElement('tr');
    const time = cell(made, '').appendChild(document.createElement('time'));
    time.dateTime = told.at;
    time.title = told.at;
    time.textContent = clock.format(new Date(told.at));
    if (told.stage === 'attempt') {
      const what = cell(made, '', 'main');
      link(what, told.sends === 1 ? 'request with 1 send' : `request with ${told.sends} sends`, `/deliveries/${encodeURIComponent(told.id)}`);
      const stage = cell(made, '');
      badge(stage, told.status ?? 'no answer', told.status >= 200 && told.status < 300 ? 'good' : 'bad');
      cell(made, told.lane);
      cell(made, [`${told.took_ms.toFixed(told.took_ms < 10 ? 1 : 0)} ms`, told.error].filter(Boolean).join(', '), 'why');
      cell(made, '');
      return made;
    }
    const what = cell(made, '', 'main');
    if (told.stage === 'rejected') what.textContent = told.message_id ? 'an event' : 'a request';
    else link(what, told.event, `/events/${encodeURIComponent(told.message_id)}`);
    const stage = cell(made, '');
    badge(stage, told.state ?? told.stage);
    for (const mark of told.marks ?? []) badge(stage, mark, 'dull');
    cell(made, told.lane ?? told.pipeline);
    const whys = {
      accepted: () => 'on disk, then answered',
      duplicate: () => 'seen before, answered and not taken again',
      rejected: () => `${told.code}: ${told.message}`,
      outcome: () => [told.reason === 'accepted' ? '' : told.reason, told.detail].filter(Boolean).join(': '),
    };
    const why = whys[told.stage]();
    cell(made, why, 'why');
    const id = cell(made, '').appendChild(document.createElement('span'));
    id.className = 'id';
    id.title = told.message_id ?? '';
    id.textContent = told.message_id ?? '';
    return made;
  }

  function show(all) {
    empty.hidden = true;
    rows.prepend(...all.map(row).reverse());
    while (rows.rows.length > MOST) rows.lastElementChild.remove();
  }

  function say(text) {
    note.hidden = !text;
    note.textContent = text;
  }

  function connected(text, tone) {
    state.textContent = text;
    state.className = `badge ${tone}`;
  }

  // Rows are put in once a frame, not one by one.
  let waiting = [];
  function take(told) {
    if (waiting.length === 0) requestAnimationFrame(() => {
      const all = waiting.slice(-MOST);
      waiting = [];
      if (isHeld) held = held.concat(all).slice(-MOST);
      else show(all);
      if (isHeld) hold.textContent = `Go on (${held.length})`;
    });
    waiting.push(told);
  }

  function listen() {
    source = new EventSource(table.dataset.feed);
    source.onopen = () => connected('live', 'good');
    source.onerror = () => connected('connecting again', 'wait');
    source.onmessage = message => take(JSON.parse(message.data));
    source.addEventListener('missed', message => {
      const { missed } = JSON.parse(message.data);
      say(`${missed.toLocaleString()} events were too many to show. Filter to see all of what you look for; nothing else was missed.`);
    });
    source.addEventListener('dropped', message => {
      source.close();
      connected('dropped', 'bad');
      say(JSON.parse(message.data).message);
      hold.textContent = 'Listen again';
      hold.dataset.dropped = '';
    });
  }

  hold.hidden = clear.hidden = false;
  hold.addEventListener('click', () => {
    if ('dropped' in hold.dataset) {
      delete hold.dataset.dropped;
      say('');
      listen();
    } else if (isHeld) {
      isHeld = false;
      show(held);
      held = [];
    } else {
      isHeld = true;
    }
    hold.textContent = isHeld ? 'Go on' : 'Hold';
  });
  clear.addEventListener('click', () => { rows.replaceChildren(); empty.hidden = false; });
  addEventListener('pagehide', () => source.close());
  listen();
}

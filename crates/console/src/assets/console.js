// What a server cannot know or do: the viewer's zone, keys, copying, a fresh look every few seconds. Pages work without it.
'use strict';

const today = new Date().toDateString();
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
const day = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'long', hourCycle: 'h23' });

function localTimes(within) {
  for (const time of within.querySelectorAll('time[datetime]')) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    time.title = `${full.format(at)}\n${time.dateTime}`;
    if (time.classList.contains('ago')) continue;
    time.textContent = at.toDateString() === today ? clock.format(at) : `${day.format(at)}, ${clock.format(at)}`;
  }
}

function copyButtons(within) {
  if (!navigator.clipboard) return;
  for (const button of within.querySelectorAll('[data-copy]')) button.hidden = false;
}

document.addEventListener('click', async event => {
  const button = event.target.closest?.('[data-copy]');
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  button.textContent = 'Copied';
  setTimeout(() => { button.textContent = 'Copy'; }, 1500);
});

document.addEventListener('keydown', event => {
  const field = document.getElementById('find');
  const isTyping = event.target.closest?.('input, textarea, select, [contenteditable]');
  if (event.key === '/' && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey && field) {
    event.preventDefault();
    field.focus();
    field.select();
  } else if (event.key === 'Escape' && event.target === field) {
    field.blur();
  }
});

// An empty field is no filter: the address stays one that can be sent to a colleague.
document.addEventListener('submit', event => {
  const form = event.target;
  if (form.method !== 'get') return;
  for (const field of form.elements) if (field.name && field.value === '') field.disabled = true;
  setTimeout(() => { for (const field of form.elements) field.disabled = false; });
});

// A range is dragged over a histogram; a click on a bar follows its link.
document.addEventListener('pointerdown', event => {
  const plot = event.target.closest?.('svg[data-mark]');
  if (!plot || event.button !== 0 || event.pointerType === 'touch') return;
  const box = plot.getBoundingClientRect();
  const bars = Number(plot.dataset.bars);
  const barAt = x => Math.min(bars - 1, Math.max(0, Math.floor((x - box.left) / box.width * bars)));
  const first = barAt(event.clientX);
  let range = [first, first];
  let mark;
  event.preventDefault();
  main.dataset.held = '';
  const move = moved => {
    const at = barAt(moved.clientX);
    range = [Math.min(first, at), Math.max(first, at)];
    if (!mark && Math.abs(moved.clientX - event.clientX) < 4) return;
    mark ??= plot.appendChild(document.createElementNS(plot.namespaceURI, 'rect'));
    const step = plot.viewBox.baseVal.width / bars;
    for (const [name, value] of Object.entries({ class: 'marked', x: range[0] * step, y: 0, width: (range[1] - range[0] + 1) * step, height: plot.viewBox.baseVal.height })) {
      mark.setAttribute(name, value);
    }
  };
  const end = () => {
    removeEventListener('pointermove', move);
    delete main.dataset.held;
    if (!mark) return;
    // The click that follows would go to a single bar.
    addEventListener('click', click => click.preventDefault(), { once: true, capture: true });
    const begin = new Date(plot.dataset.from).getTime();
    const width = Number(plot.dataset.width);
    const to = new URL(plot.dataset.mark, location.href);
    to.searchParams.set('from', new Date(begin + range[0] * width).toISOString());
    to.searchParams.set('until', new Date(begin + (range[1] + 1) * width).toISOString());
    location.assign(to);
  };
  addEventListener('pointermove', move);
  addEventListener('pointerup', end, { once: true });
});
document.addEventListener('dragstart', event => { if (event.target.closest?.('svg[data-mark]')) event.preventDefault(); });

function look() {
  localTimes(document);
  copyButtons(document);
  document.dispatchEvent(new Event('anole:looked'));
}

const main = document.getElementById('main');
let shown = main?.innerHTML;
let asking = false;

// Whoever marks or types is not disturbed.
function isBusy() {
  const selection = document.getSelection();
  return document.hidden || (selection && !selection.isCollapsed)
    || main.contains(document.activeElement?.closest('input, select, textarea')) || main.dataset.held !== undefined;
}

function lost(isLost) {
  const sign = document.querySelector('.lost');
  if (!isLost) sign?.remove();
  else if (!sign) {
    const said = document.body.appendChild(document.createElement('p'));
    said.className = 'lost';
    said.setAttribute('role', 'status');
    said.textContent = 'The daemon does not answer; what you see may be old.';
  }
}

async function again() {
  if (asking || isBusy()) return;
  asking = true;
  try {
    const answer = await fetch(location.href, { headers: { accept: 'text/html' } });
    if (answer.redirected) { location.reload(); return; }
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
    const next = page.getElementById('main');
    lost(false);
    if (!next || isBusy()) return;
    if (next.innerHTML !== shown) {
      shown = next.innerHTML;
      const focused = document.activeElement?.id;
      const open = new Map([...main.querySelectorAll('details[data-key]')].map(one => [one.dataset.key, one.open]));
      main.replaceChildren(...next.childNodes);
      for (const one of main.querySelectorAll('details[data-key]')) if (open.has(one.dataset.key)) one.open = open.get(one.dataset.key);
      if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    }
    const [side, old] = [page.querySelector('.side'), document.querySelector('.side')];
    if (side && old && side.innerHTML !== old.innerHTML) old.replaceChildren(...side.childNodes);
    document.title = page.title;
    look();
  } catch {
    lost(true);
  } finally {
    asking = false;
  }
}

look();
if (main?.dataset.fresh) setInterval(again, Number(main.dataset.fresh) * 1000);

const byId = id => document.getElementById(id);
let order = 1000;

const cookie = name => document.cookie.split('; ').find(pair => pair.startsWith(name + '='))?.slice(name.length + 1);

const does = {
  view: () => anole.page('House blend'),
  buy: () => anole.track('Order Completed', { order_id: `ORD-${++order}`, revenue: 23.5, currency: 'EUR' }),
  refund: () => anole.track('Order Refunded', { order_id: `ORD-${order}`, revenue: 23.5, currency: 'EUR' }),
  signup: () => anole.track('Signed Up', { method: 'demo' }),
  wish: () => anole.track('Product Added to Wishlist', { product_id: 'house-1kg' }),
  forget: () => { document.cookie = 'kameleoonVisitorCode=; path=/; max-age=0'; show(); },
};

function show() {
  byId('visitor').textContent = cookie('kameleoonVisitorCode') || 'none in this browser: anole remembers it by your anonymous id';
  byId('anonymous').textContent = JSON.parse(localStorage.getItem('anole.ids') || '{}').a || '';
}

function row(told) {
  if (told.stage === 'attempt') return;
  const cells = told.stage === 'accepted'
    ? [told.at, told.event, '', 'accepted', 'on disk, then answered']
    : [told.at, told.event, told.lane, told.state, [told.reason, told.status, ...told.marks, told.detail].filter(Boolean).join(' · ')];
  const line = document.createElement('tr');
  cells.forEach((text, at) => {
    const cell = line.insertCell();
    if (at === 0) text = new Date(text).toLocaleTimeString();
    if (at !== 3) { cell.textContent = text; return; }
    const badge = cell.appendChild(document.createElement('span'));
    badge.className = `state ${text}`;
    badge.textContent = text;
  });
  const feed = byId('feed');
  feed.querySelector('.empty')?.remove();
  feed.prepend(line);
  while (feed.rows.length > 50) feed.lastElementChild.remove();
}

document.addEventListener('click', event => {
  const what = event.target.dataset?.do;
  if (what) does[what]();
});
show();
new EventSource('/demo/feed').onmessage = message => row(JSON.parse(message.data));

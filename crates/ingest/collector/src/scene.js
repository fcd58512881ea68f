// What the page itself tells of an event: how the visitor came, who Kameleoon takes him for, and chance for ids.

const CLICK = /^(gclid|gbraid|wbraid|dclid|fbclid|msclkid|ttclid|twclid|li_fat_id)$/;
const CODE = 'kameleoonVisitorCode';
const LANDING = 'anole.landing';

// By hand: plain http has no `crypto.randomUUID`.
export function uuid() {
  return '10000000-1000-4000-8000-100000000000'.replace(/[018]/g, (digit) => {
    const chance = crypto.getRandomValues(new Uint8Array(1))[0];
    return (digit ^ (chance & (15 >> (digit / 4)))).toString(16);
  });
}

// The code that Kameleoon's tag keeps. Its cookie reaches the endpoint only within one site; its copy in localStorage, and
// the cookie's value read here, reach it anywhere.
export function visitorCode(local) {
  let code = '';
  // In a sandboxed frame even to read the cookies throws.
  try { code = decodeURIComponent(code = `; ${document.cookie}`.split(`; ${CODE}=`)[1].split(';')[0]); } catch { /* none, or bare */ }
  code = code || local.get(CODE) || '';
  // Bare, as a JSON text, or as the value of an object. A bare code may look like a number, so it is not parsed.
  try { if (/^["{]/.test(code)) code = JSON.parse(code); } catch { /* it is bare */ }
  return String(code.value || code);
}

// The campaign and the click ids of the address that led here, kept for as long as the tab lives: the purchase is made on
// another page than the one that the advertisement led to.
export function landing(session) {
  const found = {};
  new URLSearchParams(location.search).forEach((value, name) => {
    const [, utm] = /^utm_(.+)/.exec(name) || [];
    if (utm) (found.campaign ||= {})[utm === 'campaign' ? 'name' : utm] = value;
    if (CLICK.test(name)) (found.click_ids ||= {})[name] = value;
  });
  if (!found.campaign && !found.click_ids) return session.json(LANDING);
  session.set(LANDING, JSON.stringify(found));
  return found;
}

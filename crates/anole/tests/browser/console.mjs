// The console in a real Chromium, over a real demo: each page in both themes and at phone width, and the main path a person
// takes. Usage: node console.mjs BINARY FOLDER; screenshots are put into the folder.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const [binary, folder] = process.argv.slice(2);
const EVIL = '<script>alert(1)</script>';
const PATIENCE = 20_000;
mkdirSync(folder, { recursive: true });

/** Starts the demo; its addresses by name. */
async function startDemo() {
  const child = spawn(binary, ['demo'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const found = {};
  const lines = createInterface({ input: child.stdout });
  await new Promise((resolve, reject) => {
    child.once('exit', code => reject(new Error(`the demo ended with ${code}`)));
    lines.on('line', line => {
      const [, name, address] = line.match(/^\s+(shop|console|sandbox)\s+(http:\/\/[\d.]+:\d+)/) ?? [];
      if (name) found[name] = address;
      if (found.sandbox) resolve();
    });
  });
  return { ...found, stop: () => child.kill() };
}

/** Waits until something is so. */
async function until(what, look) {
  const deadline = Date.now() + PATIENCE;
  for (;;) {
    const seen = await look();
    if (seen) return seen;
    assert.ok(Date.now() < deadline, `never came: ${what}`);
    await new Promise(resolve => setTimeout(resolve, 50));
  }
}

/** A page on which nothing may go wrong: no error, no violation of the policy, no dialog. */
async function watched(context, wrong) {
  const page = await context.newPage();
  const note = text => wrong.push(`${page.url()}: ${text}`);
  page.on('console', message => { if (message.type() === 'error' || message.type() === 'warning') note(message.text()); });
  page.on('pageerror', error => note(error.message));
  page.on('dialog', async dialog => { note(`a dialog: ${dialog.message()}`); await dialog.dismiss(); });
  page.on('requestfailed', request => {
    // What the page itself leaves off when it is left is no failure.
    if (request.failure()?.errorText !== 'net::ERR_ABORTED') note(`${request.url()} failed`);
  });
  page.on('response', answer => { if (answer.status() >= 400) note(`${answer.url()} answered ${answer.status()}`); });
  await page.addInitScript(() => addEventListener('securitypolicyviolation', event => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`)));
  return page;
}

const post = (url, body, headers = {}) => fetch(url, { method: 'POST', body: JSON.stringify(body), headers });
const json = async url => (await fetch(url)).json();

const demo = await startDemo();
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-dev-shm-usage'] });
const wrong = [];
const steps = [];
const step = async (name, play) => {
  steps.push(name);
  await play();
  assert.deepEqual(wrong, [], name);
  console.log(`ok: ${name}`);
};
const track = (event, more = {}) => post(`${demo.shop}/v1/t`, { event, ...more }, { 'x-write-key': 'dk_demo_shop', cookie: 'kameleoonVisitorCode=evil' });

try {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
  const shop = await watched(context, wrong);
  const page = await watched(context, wrong);
  let visitor;
  let order;

  await step('an empty console says what to do next', async () => {
    await page.goto(demo.console);
    assert.match(await page.locator('.verdict h1').innerText(), /All is well/);
    await page.goto(`${demo.console}/events`);
    assert.match(await page.locator('.empty').innerText(), /No event has come in yet[\s\S]*anole send/);
    await page.goto(`${demo.console}/parked`);
    assert.match(await page.locator('.empty').innerText(), /Nothing is parked/);
  });

  await step('what is bought in the shop is found by its visitor, with the three panes', async () => {
    await shop.goto(demo.shop);
    await shop.getByRole('button', { name: 'Buy' }).click();
    await shop.locator('#feed .delivered').first().waitFor({ timeout: PATIENCE });
    visitor = await shop.locator('#visitor').innerText();
    assert.match(visitor, /^\w{6,}$/);
    await page.goto(demo.console);
    await page.keyboard.press('/');
    await page.keyboard.type(visitor);
    await page.keyboard.press('Enter');
    await page.getByRole('link', { name: 'Order Completed' }).first().click();
    assert.equal(await page.locator('h1').innerText(), 'Order Completed');
    assert.deepEqual(await page.locator('.panes h3').allInnerTexts(), ['Event', 'Request', 'Answer']);
    const request = await page.locator('.pane', { hasText: 'Request' }).innerText();
    assert.match(request, /visitorCode/);
    assert.ok(request.includes(visitor));
    assert.match(request, /properties\.kameleoonVisitorCode/, 'which path gave the field');
    assert.match(request, /kameleoon\.yaml:\d+/, 'which line of YAML gave the field');
    assert.match(await page.locator('.timeline').innerText(), /Accepted[\s\S]*Mapped[\s\S]*Attempt 1[\s\S]*(200|204)[\s\S]*Delivered/);
    await page.screenshot({ path: `${folder}/delivered.png`, fullPage: true });
  });

  await step('what a vendor refuses is parked with its hint, and after a dry run replayed and delivered', async () => {
    await post(`${demo.sandbox}/_sandbox/faults`, { status: 400 });
    await shop.getByRole('button', { name: 'Buy' }).click();
    const parked = await until('a parked send', async () => (await json(`${demo.console}/api/parked`))[0]);
    order = parked.message_id;
    await page.goto(`${demo.console}/`);
    assert.match(await page.locator('.verdict h1').innerText(), /1 send is parked and waits for you/);
    await page.getByRole('link', { name: 'See why' }).click();
    assert.match(await page.locator('.problem').innerText(), /Order Completed[\s\S]*refused[\s\S]*check the mapping/);
    await page.screenshot({ path: `${folder}/parked.png`, fullPage: true });
    await fetch(`${demo.sandbox}/_sandbox/faults`, { method: 'DELETE' });
    await page.getByRole('link', { name: /Dry run/ }).click();
    assert.match(await page.locator('.ends').innerText(), /1 sent would be sent/);
    await page.screenshot({ path: `${folder}/dry-run.png`, fullPage: true });
    await page.getByRole('button', { name: /^Replay/ }).click();
    await page.waitForURL('**/parked?said=replayed');
    await until('nothing parked', async () => (await json(`${demo.console}/api/parked`)).length === 0);
    await page.goto(`${demo.console}/events/${order}`);
    assert.match(await page.locator('.timeline').innerText(), /Parked[\s\S]*Delivered[\s\S]*replayed/);
    await page.screenshot({ path: `${folder}/replayed.png`, fullPage: true });
  });

  await step('an event is sent again from its page', async () => {
    await page.getByRole('link', { name: /Replay this event/ }).click();
    assert.match(await page.locator('#again').innerText(), /Dry run[\s\S]*Order Completed/);
    await page.getByRole('button', { name: /^Send again/ }).click();
    await page.waitForURL(`**/events/${order}?said=replayed`);
    const attempts = async () => (await json(`${demo.console}/api/events/${order}`))[0].lanes[0].sends[0].attempts.length;
    await until('the third attempt', async () => await attempts() >= 3);
  });

  await step('markup in events is text everywhere', async () => {
    for (const name of [EVIL, 'Order Completed']) {
      const answer = await track(name, {
        anonymousId: EVIL, userId: `"><img src=x onerror=alert(2)>`, messageId: `"'></title>${EVIL}-${name.length}`,
        properties: { order_id: EVIL, [EVIL]: `</script>${EVIL}`, kameleoon_visitor_code: `${EVIL}`, revenue: EVIL, kameleoon_goal_id: EVIL },
      });
      assert.equal(answer.status, 200);
    }
    const found = await until('the hostile events', async () => {
      const { items } = await json(`${demo.console}/api/events?any=${encodeURIComponent(EVIL)}`);
      return items.length >= 2 && items;
    });
    const parked = await json(`${demo.console}/api/parked`);
    const paths = ['/', '/events', `/events?q=${encodeURIComponent(EVIL)}`, `/events?event=${encodeURIComponent(EVIL)}`, '/parked', '/pipelines',
      `/events?state=${encodeURIComponent(EVIL)}`, ...found.map(one => `/events/${encodeURIComponent(one.message_id)}`),
      ...found.map(one => `/events/${encodeURIComponent(one.message_id)}?dry=1`), ...parked.map(one => `/parked/${one.id}`)];
    for (const path of paths) {
      await page.goto(demo.console + path);
      assert.equal(await page.locator('main script, main img').count(), 0, path);
    }
    await page.goto(`${demo.console}/events`);
    assert.ok((await page.locator('main').innerText()).includes(EVIL));
    await shop.getByRole('button', { name: 'wish' }).click();
  });

  await step('the live page shows an event the moment it comes', async () => {
    await page.goto(`${demo.console}/live`);
    await page.locator('#live-state', { hasText: 'live' }).waitFor({ timeout: PATIENCE });
    await shop.getByRole('button', { name: 'Buy' }).click();
    await page.locator('#live tbody tr', { hasText: 'delivered' }).first().waitFor({ timeout: PATIENCE });
    await track(EVIL, { messageId: 'live-evil' });
    await page.locator('#live tbody tr', { hasText: EVIL }).first().waitFor({ timeout: PATIENCE });
    await page.screenshot({ path: `${folder}/live-at-work.png` });
    await page.goto(`${demo.console}/live?stage=accepted`);
    await page.locator('#live-state', { hasText: 'live' }).waitFor({ timeout: PATIENCE });
  });

  await step('the tester and the form of an integration say what would be', async () => {
    await page.goto(`${demo.console}/tester`);
    await page.getByRole('button', { name: 'Try it' }).click();
    assert.match(await page.locator('#result').innerText(), /To shop\/kameleoon[\s\S]*sent[\s\S]*goalId/);
    await page.screenshot({ path: `${folder}/tester-at-work.png`, fullPage: true });
    await page.goto(`${demo.console}/integrations/kameleoon`);
    await page.getByLabel('Site Code').fill('nonsense!');
    await page.getByLabel('Data Region').selectOption('eu');
    await page.getByRole('button', { name: 'Write the YAML' }).click();
    assert.match(await page.locator('main').innerText(), /blueprint: kameleoon[\s\S]*site_code: "nonsense!"/);
    await page.getByLabel('Site Code').fill('f17c21u1ag');
    await page.getByRole('button', { name: 'Write the YAML' }).click();
    assert.match(await page.locator('main').innerText(), /This is sound[\s\S]*site_code: f17c21u1ag/);
    assert.match(page.url(), /s\.site_code=f17c21u1ag/, 'what was filled in is in the address');
  });

  await step('a lane is paused and resumed', async () => {
    await page.goto(`${demo.console}/lanes`);
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.getByRole('button', { name: 'Resume' }).waitFor({ timeout: PATIENCE });
    await page.getByRole('button', { name: 'Resume' }).click();
    await page.getByRole('button', { name: 'Pause' }).waitFor({ timeout: PATIENCE });
  });

  await step('a range is dragged over the histogram into the address', async () => {
    await page.goto(`${demo.console}/events`);
    const box = await page.locator('svg[data-mark]').boundingBox();
    await page.mouse.move(box.x + box.width * 0.2, box.y + 20);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.8, box.y + 30, { steps: 5 });
    await page.mouse.up();
    await page.waitForURL(/from=.*until=/);
    assert.equal(await page.locator('.chip').count(), 2);
  });

  await step('keys: the skip link comes first, and a slash goes to the search', async () => {
    await page.goto(`${demo.console}/events`);
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.className), 'skip');
    await page.keyboard.press('Enter');
    await page.keyboard.press('/');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'find');
  });

  await step('times are those of the viewer', async () => {
    const elsewhere = await browser.newContext({ timezoneId: 'Asia/Kolkata', locale: 'en-GB' });
    const there = await watched(elsewhere, wrong);
    await there.goto(`${demo.console}/events/${order}`);
    const time = there.locator('main time').first();
    const at = new Date(await time.getAttribute('datetime'));
    const expected = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit', timeZone: 'Asia/Kolkata' }).format(at);
    assert.ok((await time.innerText()).includes(expected));
    await elsewhere.close();
  });

  await step('it can be used without a script', async () => {
    const plain = await browser.newContext({ javaScriptEnabled: false });
    const there = await watched(plain, wrong);
    await there.goto(`${demo.console}/events`);
    assert.match(await there.locator('main time').first().innerText(), /UTC$/);
    await there.locator('select[name=state]').selectOption('delivered');
    await there.getByRole('button', { name: 'Find' }).click();
    assert.match(there.url(), /state=delivered/);
    assert.ok(await there.locator('tbody tr').count() > 0);
    await there.getByRole('button', { name: 'Dark' }).click();
    assert.equal(await there.locator('html').getAttribute('data-theme'), 'dark');
    assert.match(there.url(), /state=delivered/, 'the switch leads back');
    await plain.close();
  });

  const [attempt] = (await json(`${demo.console}/api/deliveries`)).items;
  const pages = ['/', '/live', '/events', `/events/${order}`, `/events/${order}?dry=1`, '/deliveries', `/deliveries/${attempt.id}`, '/parked', '/lanes',
    '/pipelines', '/pipelines/shop/kameleoon', '/integrations', '/integrations/kameleoon', '/tester'];
  for (const [name, options] of Object.entries({
    light: { colorScheme: 'light', viewport: { width: 1440, height: 900 } },
    dark: { colorScheme: 'dark', viewport: { width: 1440, height: 900 } },
    phone: { colorScheme: 'light', viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true },
    'phone-dark': { colorScheme: 'dark', viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true },
  })) {
    await step(`each page in ${name}`, async () => {
      const there = await browser.newContext(options);
      const looked = await watched(there, wrong);
      for (const path of pages) {
        await looked.goto(demo.console + path);
        assert.equal(await looked.locator('h1').count(), 1, `${path} has one heading`);
        const over = await looked.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        assert.ok(over <= 0, `${path} is ${over} px wider than the screen`);
        const file = path.replace(order, 'event').replace(attempt.id, 'attempt').replace(/[^a-z0-9]+/gi, '-').replace(/^-|-$/g, '') || 'overview';
        await looked.screenshot({ path: `${folder}/${file}-${name}.png`, fullPage: true });
      }
      await there.close();
    });
  }

  await step('the daemon that goes is missed', async () => {
    await page.goto(demo.console);
    demo.stop();
    await page.locator('.lost').waitFor({ timeout: PATIENCE });
    wrong.length = 0;
  });
  console.log(`${steps.length} steps, screenshots in ${folder}`);
} finally {
  demo.stop();
  await browser.close();
}

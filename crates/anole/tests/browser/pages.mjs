// Pages in a real Chromium that send to a real anole, which the caller runs. Usage: node pages.mjs COLLECT KEY CLIENTS [NAME];
// CLIENTS is the folder of the clients' packages. Prints, as its last line, what must have arrived for each visitor.
//
// The pages come from another port than anole: another origin of the same site.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const [collect, key, clients, only] = process.argv.slice(2);
const PATIENCE = 20_000;
const tag = (more = '') => `<script async src="${collect}/anole.js" data-write-key="${key}" ${more}></script>`;
const file = (name) => readFileSync(join(clients, 'node_modules', name), 'utf8');
const script = (name) => `<script>${file(name).replaceAll('</script', '<\\/script')}</script>`;
const policy = `default-src 'none'; script-src ${collect}; connect-src ${collect}`;
const pages = {
  '/frame': { body: tag('data-page="off"') },
  '/blocked': { body: '<iframe sandbox="allow-scripts" src="/frame"></iframe>' },
  '/strict': { body: tag(), headers: { 'content-security-policy': policy } },
  '/module': {
    body: `<script type="module" nonce="n">
      import { createAnole } from '${collect}/anole.mjs';
      window.mine = createAnole({ writeKey: '${key}' });
    </script>`,
    headers: { 'content-security-policy': `default-src 'none'; script-src 'nonce-n' ${collect}; connect-src ${collect}` },
  },
  '/jitsu': { body: `<script src="${collect}/p.js" data-write-key="jitsu:secret" data-init-only="true"></script>` },
  '/minimal': {
    body: `<script>minimalAnalytics = { trackingId: 'G-TEST', analyticsEndpoint: '${collect}/g/collect', autoTrack: true };</script>`
      + script('@minimal-analytics/ga4/dist/index.js'),
  },
  '/ga4mp': { body: script('@analytics-debugger/ga4mp/dist/ga4mp.iife.js') },
  '/segment': { body: script('@segment/analytics-next/dist/umd/index.js') },
  '/asks': { body: tag().replace(key, 'asks') },
  '/empty': { body: '' },
};
const server = createServer((request, answer) => {
  const { body, headers } = pages[new URL(request.url, 'http://x').pathname] ?? { body: tag() };
  answer.writeHead(200, { 'content-type': 'text/html; charset=utf-8', ...headers });
  answer.end(`<!doctype html><title>Shop</title><link rel="icon" href="data:,"><body>${body}`);
});
await new Promise((up) => server.listen(0, '127.0.0.1', up));
const shop = `http://127.0.0.1:${server.address().port}`;

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-dev-shm-usage'] });
const expected = {};

/** A visitor of the shop whom Kameleoon's tag has given a code; what of him must arrive. */
async function visitor(code, pageViews, orders, play) {
  if (only && only !== code) return;
  const context = await browser.newContext();
  context.setDefaultTimeout(PATIENCE);
  await context.addCookies([{ name: 'kameleoonVisitorCode', value: code, url: shop }]);
  await play(context, code).catch((error) => { error.message = `${code}: ${error.message}`; throw error; });
  await context.close();
  expected[code] = [pageViews, orders];
  console.log(`ok: ${code}`);
}
const open = async (context, path = '/', global = 'anole') => {
  const page = await context.newPage();
  await page.goto(shop + path);
  if (global) await page.waitForFunction((name) => window[name]?.version, global);
  return page;
};
const buy = (page, n = 1, more = {}) => page.evaluate(([n, more]) => {
  for (let i = 1; i <= n; i += 1) anole.track('Order Completed', { order_id: `ORD-${i}`, revenue: 23.5, ...more });
}, [n, more]);
// Waits until nothing is left to send. Asked by hand: a page that came after a reload offline draws no frames, and with those the
// driver's own waiting stands still.
const emptied = async (page) => {
  const deadline = Date.now() + PATIENCE;
  while (await page.evaluate(() => Object.keys(localStorage).some((name) => name.startsWith('anole.q.')))) {
    assert.ok(Date.now() < deadline, 'something is left to send');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
};

/** Answers the first requests that bring events as an anole does that has too much to do. */
async function busy(context, statuses) {
  const refused = [];
  await context.route((url) => url.href.startsWith(collect), (route) => {
    const request = route.request();
    const status = request.method() === 'POST' ? statuses[refused.length] : undefined;
    if (!status) return route.continue();
    refused.push(status);
    return route.fulfill({
      status, contentType: 'application/json', body: '{"success":false,"code":"busy","message":"later"}',
      headers: {
        'retry-after': '1', 'access-control-allow-origin': shop, 'access-control-allow-credentials': 'true',
        'access-control-expose-headers': 'retry-after',
      },
    });
  });
  return refused;
}

try {
  // --- anole.js

  await visitor('closes00000001', 2, 1, async (context) => {
    const page = await open(context, '/one');
    await page.evaluate(() => {
      history.pushState({}, '', '/two');
      anole.track('Order Completed', { revenue: 23.5 });
    });
    await page.close();
  });

  await visitor('offline0000001', 2, 2, async (context) => {
    const page = await open(context);
    await emptied(page);
    await context.setOffline(true);
    await buy(page, 2);
    await page.waitForTimeout(600);
    await page.reload().catch(() => {});
    await context.setOffline(false);
    await page.goto(shop);
    await page.waitForFunction(() => window.anole?.version);
    await emptied(page);
  });

  await visitor('twotabs0000001', 2, 6, async (context) => {
    const [one, two] = [await open(context), await open(context)];
    await context.setOffline(true);
    await Promise.all([buy(one, 3), buy(two, 3)]);
    await one.waitForTimeout(600);
    await context.setOffline(false);
    await emptied(one);
    await emptied(two);
  });

  await visitor('refused0000001', 1, 3, async (context) => {
    const refused = await busy(context, [429, 503, 503]);
    const page = await open(context);
    await buy(page, 3);
    await emptied(page);
    assert.deepEqual(refused, [429, 503, 503]);
  });

  await visitor('strictcsp00001', 1, 1, async (context) => {
    const page = await context.newPage();
    const wrong = [];
    page.on('console', (message) => { if (message.type() === 'error') wrong.push(message.text()); });
    await page.goto(`${shop}/strict`);
    await page.waitForFunction(() => window.anole?.version);
    await buy(page);
    await emptied(page);
    assert.deepEqual(wrong.filter((text) => !text.includes('data:')), []);
  });

  await visitor('module00000001', 1, 1, async (context) => {
    const page = await open(context, '/module', 'mine');
    const { sent } = await page.evaluate(() => mine.track('Order Completed', { revenue: 23.5 }));
    assert.equal(sent, true);
  });

  // A frame that may have neither storage nor cookies. It cannot know the visitor's code but by being told.
  await visitor('blocked0000001', 0, 2, async (context, code) => {
    const page = await open(context, '/blocked', null);
    const frame = page.frames().find((one) => one.url().endsWith('/frame'));
    await frame.waitForFunction(() => window.anole?.version);
    assert.equal(await frame.evaluate(() => { try { return localStorage.length; } catch (error) { return error.name; } }), 'SecurityError');
    const result = await frame.evaluate((code) => anole.track('Order Completed', { revenue: 23.5, kameleoonVisitorCode: code }), code);
    assert.equal(result.sent, true);
    await buy(frame, 1, { kameleoonVisitorCode: code });
    // Left and not closed: what a frame gives to a Chromium that is closing is not always sent, and there is no storage here.
    await page.goto(`${shop}/empty`);
  });

  // The cookie that the server sets, from another origin of the same site, and the visitor that it brings back.
  await visitor('cookie00000001', 2, 0, async (context) => {
    const page = await open(context);
    await emptied(page);
    const own = async () => (await context.cookies(collect)).find((cookie) => cookie.name === '_anole_id');
    const first = await own();
    assert.ok(first.httpOnly && first.sameSite === 'Lax' && first.path === '/');
    const id = await page.evaluate(() => anole.user().anonymousId());
    assert.equal(first.value, id);
    await page.evaluate(() => localStorage.clear());
    await page.reload();
    await page.waitForFunction((id) => window.anole?.version && anole.user().anonymousId() === id, id);
    const renewed = await own();
    assert.equal(renewed.value, id);
    assert.ok(renewed.expires > first.expires, 'it is renewed on each hit');
  });

  // The pipeline of this key asks for consent: no cookie without it, and nothing is sent on.
  await visitor('consent0000001', 0, 1, async (context) => {
    const page = await open(context, '/asks');
    const cookies = async () => (await context.cookies(collect)).filter((cookie) => cookie.name === '_anole_id').length;
    const { sent } = await page.evaluate(() => anole.track('Order Completed', { revenue: 23.5 }));
    assert.deepEqual([sent, await cookies()], [true, 0], 'it is taken, and the visitor is not marked');
    await page.evaluate(async () => {
      anole.consent({ analytics: true });
      await anole.track('Order Completed', { revenue: 23.5 });
    });
    assert.equal(await cookies(), 1);
  });

  // --- others' clients, as they are

  // Segment's repeats 429 and 5xx: it keeps everything. It sends no cookies, so it must be told the visitor's code; so does Jitsu's.
  for (const [code, statuses] of [['segment0000001', []], ['segmentbusy001', [429, 503]]]) {
    await visitor(code, 1, 1, async (context) => {
      const refused = await busy(context, statuses);
      const page = await open(context, '/segment', null);
      await page.evaluate(async ([key, cdnURL, code]) => {
        const [analytics] = await AnalyticsNext.AnalyticsBrowser.load({ writeKey: key, cdnURL });
        window.calls = [analytics.page('Home', { kameleoonVisitorCode: code }), analytics.track('Order Completed', { revenue: 23.5, kameleoonVisitorCode: code })];
      }, [key, collect, code]);
      await page.waitForTimeout(statuses.length > 0 ? 6000 : 1500);
      assert.deepEqual(refused, statuses);
    });
  }

  // Jitsu's client and the two below repeat nothing: what is answered 429 or 503, or by nobody, they have lost. So there is
  // nothing of theirs that anole could lose.
  await visitor('jitsu000000001', 1, 1, async (context, code) => {
    // Its tag sends to where it was loaded from, so there it lies.
    await context.route(`${collect}/p.js`, (route) => route.fulfill({ contentType: 'text/javascript', body: file('@jitsu/js/dist/web/p.js.txt') }));
    const page = await open(context, '/jitsu', null);
    await page.evaluate(async (code) => {
      await jitsu.page('Home', { kameleoonVisitorCode: code });
      await jitsu.track('Order Completed', { revenue: 23.5, kameleoonVisitorCode: code });
    }, code);
    await page.waitForTimeout(1000);
  });

  await visitor('minimal0000001', 1, 1, async (context) => {
    const page = await open(context, '/minimal', null);
    await page.evaluate(() => track({ type: 'purchase', event: { 'ep.transaction_id': 'T-1', 'epn.value': 23.5 } }));
    await page.waitForTimeout(1000);
  });

  await visitor('ga4mp000000001', 1, 1, async (context) => {
    const page = await open(context, '/ga4mp', null);
    await page.evaluate((collect) => {
      const tracker = ga4mp(['G-TEST'], { endpoint: `${collect}/g/collect` });
      tracker.trackEvent('page_view', { page_location: location.href });
      tracker.trackEvent('purchase', { transaction_id: 'T-2', value: 23.5 });
    }, collect);
    await page.waitForTimeout(1000);
  });
  console.log(JSON.stringify(expected));
} finally {
  await browser.close();
  server.close();
}

// How a page written in TypeScript uses the collector. Checked by `npm run check`; never run.
import { createAnole, type Anole, type Result } from 'https://data.shop.test/anole.mjs';

const anole: Anole = createAnole({ writeKey: 'wk', navigation: 'off', consent: 'wait' });
createAnole({ writeKey: 'wk', host: 'https://data.shop.test', page: false });

export async function use(): Promise<string> {
  anole.consent({ analytics: true, marketing: 'denied' });
  anole.consent(null);
  await anole.page();
  await anole.page('Home');
  await anole.page('Docs', 'Home', { depth: 2 }, { context: { page: { title: 'Mine' } } });
  await anole.page({ depth: 2 }, (result) => console.log(result.sent));
  await anole.identify('u-1', { plan: 'pro' }, { integrations: { All: false, Kameleoon: true } });
  await anole.identify({ plan: 'pro' });
  await anole.identify(null, { plan: 'pro' });
  await anole.group('g-1', { seats: 3 });
  await anole.alias('u-2', 'u-1');
  anole.setAnonymousId('a-1');
  anole.push(['track', 'Signed Up', { plan: 'pro' }]);
  anole.ready(() => anole.reset());
  await anole.flush();
  const early = window.anole;
  early.push(['page']);
  const { event, sent }: Result = await anole.track('Order Completed', { revenue: 23.5 }, { timestamp: new Date(), messageId: 'm-1' });
  return `${event.messageId} ${sent} ${anole.user().id() ?? anole.user().anonymousId()} ${anole.version}`;
}

// What is wrong is found.
// @ts-expect-error the key is missing
createAnole({ host: 'https://data.shop.test' });
// @ts-expect-error an event has a name
anole.track({ revenue: 23.5 });
// @ts-expect-error there is no such word
createAnole({ writeKey: 'wk', consent: 'later' });
// @ts-expect-error there is no such call
anole.push(['buy']);

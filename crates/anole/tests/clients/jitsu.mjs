// Jitsu's client as a back end uses it. It does not try again: each failure is told.
import { jitsuAnalytics } from '@jitsu/js';

const [host, writeKey] = process.argv.slice(2);
const client = jitsuAnalytics({ host, writeKey, s2s: true, fetch });
await client.identify('u-42', { plan: 'pro' });
await client.page('Checkout', { url: 'https://shop.example.com/checkout', title: 'Checkout' });
for (let order = 1; order <= 5; order += 1) {
  const answer = await client.track('Order Completed', { order_id: `ORD-${order}`, revenue: 23.5, kameleoonVisitorCode: '245fc8a1b9' });
  if (!answer?.ok && !answer?.success) console.error(JSON.stringify(answer));
}
console.log('sent');

// Sends what a shop's back end would, with Segment's own client, to the address given on the command line.
const [host, writeKey, version] = process.argv.slice(2);
// Version 2 names its key in the body only, version 3 in a header too.
const { Analytics } = await import(version === '2' ? 'segment-node-2' : '@segment/analytics-node');
const client = new Analytics({ writeKey, host, flushAt: 5, maxRetries: 10 });
const failures = [];
client.on('error', error => failures.push(`${error.code}: ${error.reason}`));
client.identify({ userId: 'u-42', traits: { plan: 'pro' } });
client.page({ anonymousId: 'visitor-7', name: 'Checkout', properties: { url: 'https://shop.example.com/checkout', title: 'Checkout' } });
for (let order = 1; order <= 10; order += 1) {
  client.track({
    userId: 'u-42',
    event: 'Order Completed',
    properties: { order_id: `ORD-${order}`, revenue: 23.5, currency: 'EUR', kameleoonVisitorCode: '245fc8a1b9' },
    messageId: `00000000-0000-4000-8000-00000000000${order % 10}`,
  });
}
await client.closeAndFlush({ timeout: 30000 });
if (failures.length > 0) {
  console.error(failures.join('\n'));
  process.exit(1);
}
console.log('sent');

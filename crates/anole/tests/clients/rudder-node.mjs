// RudderStack's client for Node.js: gzip, its content type says that it is a form.
import RudderAnalytics from '@rudderstack/rudder-sdk-node';

const [host, writeKey] = process.argv.slice(2);
const client = new RudderAnalytics(writeKey, {
  dataPlaneUrl: host, flushAt: 3, flushInterval: 500, retryCount: 10, errorHandler: error => { console.error(String(error)); process.exitCode = 1; },
});
client.identify({ userId: 'u-42', traits: { plan: 'pro' } });
client.page({ anonymousId: 'visitor-7', name: 'Checkout', properties: { url: 'https://shop.example.com/checkout', title: 'Checkout' } });
for (let order = 1; order <= 5; order += 1) {
  client.track({
    userId: 'u-42', event: 'Order Completed', messageId: `00000000-0000-4000-8000-00000000000${order}`,
    properties: { order_id: `ORD-${order}`, revenue: 23.5, kameleoonVisitorCode: '245fc8a1b9' },
  });
}
await client.flush();
await new Promise(over => setTimeout(over, 1500));
await client.flush();
console.log('sent');
process.exit();

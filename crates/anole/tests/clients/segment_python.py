"""Segment's client for Python, plain or with gzip."""
import sys
from segment.analytics.client import Client

host, key, how = sys.argv[1:4]
failed = []
client = Client(key, host=host, gzip=how == "gzip", upload_size=3, max_retries=10, on_error=lambda error, items: failed.append(str(error)))
client.identify("u-42", {"plan": "pro"})
client.page(anonymous_id="visitor-7", name="Checkout", properties={"url": "https://shop.example.com/checkout", "title": "Checkout"})
for order in range(1, 6):
    client.track(
        "u-42", "Order Completed", {"order_id": f"ORD-{order}", "revenue": 23.5, "kameleoonVisitorCode": "245fc8a1b9"},
        message_id=f"00000000-0000-4000-8000-00000000000{order}",
    )
client.shutdown()
if failed:
    sys.exit("\n".join(failed))
print("sent")

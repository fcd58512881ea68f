"""A Measurement Protocol client for Python, one event a request, and several at once."""
import sys
from urllib.error import HTTPError
from ga4mp import GtagMP

host, measurement_id, secret = sys.argv[1:4]
client = GtagMP(api_secret=secret, measurement_id=measurement_id, client_id="111.222")
client._base_domain = f"{host}/mp/collect"
client._validation_domain = f"{host}/debug/mp/collect"


def send(event):
    """The client raises what it is refused with, and keeps nothing: that is up to who calls it."""
    try:
        client.send(events=[event])
    except HTTPError as error:
        print(error, file=sys.stderr)


for order in range(1, 6):
    purchase = client.create_new_event(name="purchase")
    purchase.set_event_param(name="transaction_id", value=f"ORD-{order}")
    purchase.set_event_param(name="value", value=23.5)
    purchase.set_event_param(name="currency", value="EUR")
    purchase.set_event_param(name="kameleoonVisitorCode", value="245fc8a1b9")
    send(purchase)
view = client.create_new_event(name="page_view")
view.set_event_param(name="page_location", value="https://shop.example.com/checkout")
view.set_event_param(name="kameleoonVisitorCode", value="245fc8a1b9")
send(view)
print("sent")

"""A provider to test against: a real HTTP server that behaves like Stripe's documented API, as far
as a shop uses it. The unmodified `stripe` library talks to it by its `api` address.

| module | what is in it |
| --- | --- |
| `account` | what becomes of a payment: sessions, payment intents, charges, refunds, events |
| `api` | the requests of a shop: keys, limits, idempotency, parameters, lists |
| `objects`, `money`, `params`, `errors` | how Stripe's objects, amounts, forms and errors look |
| `webhooks` | signed events, sent until they are confirmed |
| `page` | where a buyer pays, with a button for each way it can end |
| `misbehaviour` | limits, slow answers, cut connections, errors before and after the work |
| `verbs`, `control` | what tests tell the server, and how |
| `store` | what an account has, in a file where it shall survive a kill |
| `wire`, `server`, `process`, `__main__` | the HTTP, in this process or in one of its own |

No money moves, and nothing is asked over the network. What the documentation leaves open is said
where it is decided.
"""

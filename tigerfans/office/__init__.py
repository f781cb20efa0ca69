"""The box office: what the operator does beside selling.

order_search        finds orders for the admin pages and the export
story               tells how one order came about, from all three stores
reconcile           compares the ledger with the orders, and repairs what differs
reconcile_command   `tigerfans reconcile`
backup_command      `tigerfans ledger backup`
tuning              `tigerfans tune`
"""

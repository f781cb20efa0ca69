"""The proof that the shop loses nothing: the whole shop, real buyers, and faults by a seed.

plan       what one seed means: the buyers, the faults, the shop's settings. Pure data
stack      the shop as `tigerfans up` runs it, killed and started again on the same data
exchange   one HTTP request, and what may become of it
buyers     the load: buyers that check out, pay or do not, and ask for their order
provider   what a payment provider is to a run
at_mockpay MockPay: its webhooks are sent by the buyers' client, which does not give up
at_stripe  Stripe: the provider to test against, its page, its faults, its books
relay      where a provider sends its webhooks; it keeps some of them to itself
mailbox    the mail server that the shop sends to, and what came to whom
prices     what a ticket costs, told to real workers by the file of their offer
purchase   what one buyer was told, and whether the shop ever took it back
pace       keeps buyers and faults in step, however slow the machine is
owner      gives money back and changes the stock, in the box office
injector   carries out the faults: signals, cut connections, a full disk, a wiped Redis, prices
calm       after the last fault: until everything is served and known
audit      in the end: what was told against PostgreSQL, the ledger and the provider's books
run        one seed from the first process to the last, and the table of many
__main__   `make faults`; the tests of this folder are its short form
"""

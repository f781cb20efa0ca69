"""The proof that a shop on several hosts loses nothing: real servers, whatever dies or is cut off.

namespaces  hosts as network namespaces on one bridge, and what their links do to packets
processes   one process on a host, and a unit that is started again as systemd does
parts       a replica of TigerBeetle, Redis, the shop's own commands
proxy       hands each request to a host that is ready
pulse       how long nobody was served
site        all of it, from the first process to the last
faults      what can happen, a row each: what it does, and who has to act
run         one run: sell under faults, calm down, audit, stop
__main__    `make hosts`; the tests of this folder are its short form

Buyers, what they were told, and the audit are those of `tests.faults`.
"""

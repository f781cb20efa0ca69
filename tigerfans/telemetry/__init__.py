"""What a process tells of itself: numbers for `/metrics`, lines for the log.

counters    a worker's requests, and what they waited for
histogram   how often something took how long
mails       what became of mails
steps       each step of each order: a number and a line
logs        the form of a line
"""

"""What one would build instead: three small shops with this shop's HTTP contract, and none of its
parts.

    hot_row        a row of PostgreSQL for each class, `UPDATE … SET available = available - n`
    ticket_rows    a row of PostgreSQL for each ticket, `FOR UPDATE SKIP LOCKED`
    redis_stock    stock and holds in Redis by Lua, orders in PostgreSQL

Each is a FastAPI application, and nothing in it knows of TigerFans. Anyone can run one:

    export PEER_DATABASE_URL=postgresql:///shop PEER_REDIS_URL=redis://localhost
    .venv/bin/python -m uvicorn --factory bench.peers.hot_row:create --workers 2 \\
        --loop uvloop --http httptools --no-access-log

`python -m bench.peers` measures them beside the shop, and kills parts of them under load.
"""

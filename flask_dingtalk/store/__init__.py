"""What all processes of a site share, in Redis: the same face as ``memory``, for many machines.

``link`` talks to Redis, ``keys`` names and seals, ``logins`` keeps who is signed in, ``people``
finds the sign-ins of a person, ``events`` knows which events came before. Nothing here knows Flask,
and nothing imports redis-py unless a site has a store.
"""

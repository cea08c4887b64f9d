"""The DynamoDB tables. Every write is conditional on what was read, or on holding the lane.

There is one module for each kind of thing. The ConnectionsTable also holds lanes, releases and facts about
organisations.
"""

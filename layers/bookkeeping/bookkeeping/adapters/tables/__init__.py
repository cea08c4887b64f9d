"""EDGE: the DynamoDB tables. Every write is conditional on what was read, or on holding the lane.

A module for each thing kept. Lanes, releases and what is known of organisations are rows of the ConnectionsTable too.
"""

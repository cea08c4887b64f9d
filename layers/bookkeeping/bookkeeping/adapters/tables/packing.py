"""Texts as the tables keep them, compressed."""

from __future__ import annotations

import zlib
from typing import Final

_LIKELY: Final = (
    '["Nobody chose “Tax rate on purchases”: this takes the tax rate of account 310, INPUT2."]'
    '"problem":{"code":"our_fault","details":{"order":"","field":"items[0].","value":"","reference":"'
    '"taxes":{"OUTPUT2":"ZERORATEDOUTPUT":"OUTPUT":"contact_id":"'
    '"flaw":{"code":"bad_price","completion_flaw":{"code":"bad_date",'
    '"status_told":false,"disposition":"cancelled","on_hold","refunded","error","free_of_charge":true,'
    '"currency":"CAD","AUD","USD","EUR","ships_to":"EU","US","AU","GB"},"cancelled":true,"quantity":"10",'
    ',"tax_rate":"10""colour":"White","Natural","Navy","Red","Blue","Grey","size":"One size","XXL","XL","S","M",'
    '{"sent_at":1764000000000,"content_hash":"","first_sent_at":1764000000000}\n'
    '{"id":"61530000","companies":["412077","413995"],"dispatched":true,"dispatch_by":"2026-12-01",'
    '"completed_at":"2026-12-01T09:00:00","sold_at":"2026-11-20T19:42:07","status_told":true,'
    '{"id":"61530000","companies":["412077"],"dispatched":false,"dispatch_by":null,"completed_at":null,'
    '"sold_at":"2026-11-20T19:42:07","status_told":true,"flaw":null,"completion_flaw":null,'
    '"ref":"0244416F34BFA290","external_ref":"WEB-30000","disposition":"live","status":"",'
    '"free_of_charge":false,"currency":"GBP","ships_to":null,'
    '"shipping":{"price":"3.2917","price_inc_tax":"3.95","tax_rate":"20"},"lines":['
    '{"id":"615300000","cancelled":false,"sku":"T-SHIRT-","description":"Cotton T-Shirt","colour":"","size":"",'
    '"quantity":"2","price":"10","price_inc_tax":"12","cost":"","tax_rate":"20"},'
    '{"id":"615300001","cancelled":false,"sku":"HOODIE-","description":"Hoodie, front print","colour":"Black",'
    '"size":"L","quantity":"1","price":"","price_inc_tax":"","cost":null,"tax_rate":null}]}'
).encode()
"""What short texts have in common, so that they need not say it. It never changes: rows could not be read any more."""


def packed(text: str) -> bytes:
    packer = zlib.compressobj(zlib.Z_BEST_COMPRESSION, zdict=_LIKELY)
    return packer.compress(text.encode()) + packer.flush()


def unpacked(kept: bytes) -> str:
    """The text that was packed. Raises zlib.error."""
    unpacker = zlib.decompressobj(zdict=_LIKELY)
    text = unpacker.decompress(kept)
    if not unpacker.eof:
        raise zlib.error("incomplete")
    return text.decode()

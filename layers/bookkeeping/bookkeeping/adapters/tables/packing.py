"""Texts as the tables keep them, compressed."""

from __future__ import annotations

import zlib
from typing import Final

_LIKELY: Final = (
    b'"problem":{"code":"our_fault","details":{"order":"","reference":"'
    b'","completed_at":"2026-11-20T19:42:07","flaw":{"code":"bad_price","completion_flaw":{"code":"bad_date",'
    b'"details":{"order":"","field":"items[0].","value":"'
    b'"status_told":false,"disposition":"cancelled","on_hold","refunded","error","free_of_charge":true,'
    b'"currency":"CAD","AUD","USD","EUR","ships_to":"EU","US","AU","GB"},"cancelled":true,"quantity":"10",'
    b'"dispatched":true,"dispatch_by":"2026-11-25","tax_rate":"10"'
    b'{"id":"61530000","companies":["412077","413995"],"dispatched":false,"dispatch_by":null,'
    b'"completed_at":null,"sold_at":"2026-11-20T19:42:07","status_told":true,"flaw":null,"completion_flaw":null,'
    b'"ref":"0244416F34BFA290","external_ref":"WEB-30000","disposition":"live","status":"",'
    b'"free_of_charge":false,"currency":"GBP","ships_to":null,'
    b'"shipping":{"price":"3.29","price_inc_tax":"3.95","tax_rate":"20"},"lines":['
    b'{"id":"615300000","cancelled":false,"sku":"","description":"","colour":"","size":"",'
    b'"quantity":"1","price":"","price_inc_tax":"","cost":"","tax_rate":"20"},{"id":"615300001","cancelled":false,'
    b'"sku":"","description":"","colour":"Black","size":"L","quantity":"1","price":"","price_inc_tax":"","cost":null,'
    b'"tax_rate":null}]}'
)
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

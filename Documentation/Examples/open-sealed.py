#!/usr/bin/env python3
"""Opens what Farbell seals for a device (RFC 8291, RFC 8188), step by step. Needs the library `cryptography`.

Standard input: {"private":…,"auth":…,"sealed":…}, all in base64url: the device's private key (32 bytes), its
authentication secret (16 bytes), and what came in the push. Standard output: the text.
"""
import base64, json, sys
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def octets(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def hkdf(secret, salt, info, length):
    return HKDF(hashes.SHA256(), length, salt, info).derive(secret)


def open_sealed(sealed, private, auth):
    # 1. Salt, record size, and the sender's one-time key with its length stand in front.
    salt, size, sender, box = sealed[:16], int.from_bytes(sealed[16:20], "big"), sealed[21:86], sealed[86:]
    if sealed[20] != 65 or len(box) > size:
        raise ValueError("not one record for one key")
    # 2. What the two keys have in common.
    key = ec.derive_private_key(int.from_bytes(private, "big"), ec.SECP256R1())
    own = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    common = key.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender))
    # 3. With the authentication secret and both keys: the input of step 4.
    secret = hkdf(common, auth, b"WebPush: info\0" + own + sender, 32)
    # 4. The key and the nonce of the one record.
    content = hkdf(secret, salt, b"Content-Encoding: aes128gcm\0", 16)
    nonce = hkdf(secret, salt, b"Content-Encoding: nonce\0", 12)
    # 5. Open it: whoever has changed a bit is found here.
    record = AESGCM(content).decrypt(nonce, box, None)
    # 6. The text ends before the mark of the last record, a byte 2, behind which there may be zeros.
    text = record.rstrip(b"\0")
    if text[-1:] != b"\2":
        raise ValueError("the mark of the last record is missing")
    return text[:-1]


if __name__ == "__main__":
    given = json.load(sys.stdin)
    text = open_sealed(*(octets(given[name]) for name in ("sealed", "private", "auth")))
    sys.stdout.buffer.write(text)

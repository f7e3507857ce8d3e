"""Answers one question of the Swift tests: JSON on standard input, JSON on standard output.

Every answer comes from a Python library that shares no code with Farbell, so that a mistake in
Farbell's use of OpenSSL cannot confirm itself. Byte strings travel as base64url without padding.
"""

import base64
import json
import sys

# The libraries are imported where they are used: each takes up to a second to load.


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def webpush_keys(_):
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    point = key.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    scalar = key.private_numbers().private_value.to_bytes(32, "big")
    return {"p256dh": encode(point), "scalar": encode(scalar)}


def webpush_decrypt(question):
    import http_ece
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.derive_private_key(int.from_bytes(decode(question["scalar"]), "big"), ec.SECP256R1())
    text = http_ece.decrypt(
        decode(question["body"]), private_key=key, auth_secret=decode(question["auth"]), version="aes128gcm"
    )
    return {"text": encode(text)}


def webpush_encrypt(question):
    from pywebpush import WebPusher

    subscription = {
        "endpoint": "https://push.example/1",
        "keys": {"p256dh": question["p256dh"], "auth": question["auth"]},
    }
    return {"body": encode(WebPusher(subscription).encode(decode(question["text"]))["body"])}


def jwt_verify(question):
    import jwt

    token = question["token"]
    claims = jwt.decode(
        token,
        question["publicPEM"],
        algorithms=[question["algorithm"]],
        options={"verify_aud": False, "verify_exp": False, "verify_iat": False},
    )
    return {"header": jwt.get_unverified_header(token), "claims": claims}


def jwt_sign(question):
    import jwt

    return {
        "token": jwt.encode(question["claims"], question["privatePEM"], algorithm=question["algorithm"])
    }


def argon2_verify(question):
    import argon2

    try:
        argon2.PasswordHasher().verify(question["hash"], question["password"])
        return {"valid": True}
    except argon2.exceptions.VerifyMismatchError:
        return {"valid": False}


def argon2_hash(question):
    import argon2

    hasher = argon2.PasswordHasher(time_cost=2, memory_cost=64, parallelism=1)
    return {"hash": hasher.hash(question["password"])}


def aes_gcm_open(question):
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    sealed = decode(question["sealed"])
    text = AESGCM(decode(question["key"])).decrypt(sealed[1:13], sealed[13:], decode(question["associated"]))
    return {"text": encode(text)}


QUESTIONS = {
    "webpush-keys": webpush_keys,
    "webpush-decrypt": webpush_decrypt,
    "webpush-encrypt": webpush_encrypt,
    "jwt-verify": jwt_verify,
    "jwt-sign": jwt_sign,
    "argon2-verify": argon2_verify,
    "argon2-hash": argon2_hash,
    "aes-gcm-open": aes_gcm_open,
}

if __name__ == "__main__":
    asked = json.load(sys.stdin)
    json.dump(QUESTIONS[asked["ask"]](asked), sys.stdout)

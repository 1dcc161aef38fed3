"""JSON Web Tokens for tests: an issuer with a real key (RFC 7515, RS256)."""

import base64
import json
import time
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa


class Issuer:
    """Signs tokens, and says with what to check them."""

    def __init__(self, name: str = "https://id.example", kid: str = "one") -> None:
        self.name, self.kid = name, kid
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @property
    def keys(self) -> str:
        """The JSON Web Key Set."""
        return json.dumps({"keys": [self.key]})

    @property
    def key(self) -> dict[str, str]:
        numbers = self._key.public_key().public_numbers()
        return {
            "kty": "RSA",
            "alg": "RS256",
            "use": "sig",
            "kid": self.kid,
            "n": _base64(numbers.n.to_bytes(256, "big")),
            "e": _base64(numbers.e.to_bytes(3, "big")),
        }

    def token(self, *, algorithm: str = "RS256", lasts: float = 600.0, **claims: Any) -> str:
        """Sign a token; `iss` and `exp` are there unless said otherwise. With the algorithm `none` nothing is signed."""
        header = {"typ": "JWT", "alg": algorithm, "kid": self.kid}
        said = {"iss": self.name, "sub": "ada", "exp": int(time.time() + lasts), **claims}
        content = f"{_base64(json.dumps(header).encode())}.{_base64(json.dumps(said).encode())}"
        if algorithm == "none":
            return f"{content}."
        signature = self._key.sign(content.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{content}.{_base64(signature)}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

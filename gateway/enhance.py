"""Writes a prompt out by OpenAI's chat model, for those who ask for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import httpx

from gateway.errors import EnhancementFailed

if TYPE_CHECKING:
    from pydantic import SecretStr

_MODEL: Final = "gpt-4o-mini"
_SECONDS: Final = 20
_TASK: Final = (
    "Rewrite the user's text as one prompt for Stable Diffusion XL, in English, under 75 words: keep its "
    "subject, add setting, light, lens or medium, and style. Answer with the prompt alone."
)


async def enhance(prompt: str, key: SecretStr, base_url: str) -> str:
    """Return a fuller prompt.

    Raises:
        EnhancementFailed: OpenAI did not answer, or not with a text.
    """
    messages = [{"role": "system", "content": _TASK}, {"role": "user", "content": prompt}]
    try:
        async with httpx.AsyncClient(timeout=_SECONDS) as client:
            answer = await client.post(
                f"{base_url.rstrip('/')}/chat/completions",
                json={"model": _MODEL, "messages": messages},
                headers={"Authorization": f"Bearer {key.get_secret_value()}"},
            )
        answer.raise_for_status()
        return str(answer.json()["choices"][0]["message"]["content"]).strip()
    except httpx.HTTPStatusError as error:
        reason = f"it answered {error.response.status_code}"
    except (httpx.HTTPError, ValueError, LookupError, TypeError) as error:
        reason = type(error).__name__
    raise EnhancementFailed(f"OpenAI did not write the prompt out ({reason}): ask again without `enhance`")

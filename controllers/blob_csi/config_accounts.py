"""The settings of the storage accounts that profiles have containers in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field

from controllers.blob_csi import config_fields

PLACEHOLDER = "{account}"


def _endpoint(text: str) -> str:
    if PLACEHOLDER not in text:
        raise ValueError(
            f"{text!r} names no account: expected a URL with {PLACEHOLDER}, such as"
            f" https://{PLACEHOLDER}.blob.core.windows.net/"
        )
    config_fields.check_url(text.replace(PLACEHOLDER, "account"))
    return text


class AccountSettings(BaseModel):
    """How storage accounts are reached, and what becomes of containers."""

    storage_endpoint: Annotated[str, AfterValidator(_endpoint)] = Field(
        default=f"https://{PLACEHOLDER}.blob.core.windows.net/",
        description="URL of an account's blobs; other in sovereign clouds",
    )
    storage_endpoints: Mapping[str, config_fields.Url] = Field(
        default={}, description="account -> URL of its blobs, where that is another one"
    )
    storage_verify_minutes: float = Field(
        default=60.0, gt=0, allow_inf_nan=False, description="an account is listed this often"
    )
    storage_timeout_seconds: float = Field(
        default=10.0, gt=0, le=120, description="of one request to an account"
    )
    storage_requests: int = Field(
        default=8, ge=1, le=256, description="requests to one account at once"
    )
    former_data: Literal["refuse", "accept"] = Field(
        default="refuse",
        description="whether a new Profile gets what an earlier one of its name left, whose owner"
        " was another",
    )
    adopt_by_name: bool = Field(
        default=True,
        description="whether an unmarked container is a profile's that has its very name; not"
        " needed once an older suite's are marked",
    )
    delete_data: bool = Field(
        default=False, description="whether containers go, with their data, after their Profile"
    )
    delete_data_after_days: float = Field(
        default=30.0, gt=0, le=3650, description="days between the two"
    )

    def endpoint_of(self, account: str) -> str:
        """The URL of an account's blobs."""
        default = self.storage_endpoint.replace(PLACEHOLDER, account)
        return self.storage_endpoints.get(account, default)

"""Why a request gets no answer, in a status code, a word for programs and a line for people."""


class RefusedError(Exception):
    """What a client is told instead of an answer."""

    def __init__(self, status: int, code: str, message: str, retry_after: int = 0) -> None:
        """Take an HTTP status and, in seconds, when asking again makes sense; 0: it does not."""
        super().__init__(status, code, message, retry_after)  # all, so that it can be pickled
        self.status, self.code, self.message = status, code, message
        self.retry_after = retry_after

    def headers(self) -> dict[str, str]:
        """Return what the answer says beside its body."""
        return {"Retry-After": str(self.retry_after)} if self.retry_after else {}

    def body(self) -> dict[str, dict[str, str]]:
        """Return the answer's JSON."""
        return {"error": {"code": self.code, "message": self.message}}

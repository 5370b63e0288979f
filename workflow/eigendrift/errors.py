"""The one exception for what a user can mend."""


class UserError(Exception):
    """Something the user can mend.

    The message is one sentence that names the key, file or value, says what was expected, and how to
    mend it. It is shown as it stands, without a traceback.
    """

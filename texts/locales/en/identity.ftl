### The context of accounts, sessions and the keys that sign tokens.

event-RegistrationRequested = Registration requested
    .sentence = Somebody asked to register, and gets a mail with a link until { $expires_at }
event-AccountOpened = Account opened
    .sentence = Account { $self } opened with the roles { $roles }
event-EmailVerified = E-mail address verified
    .sentence = The e-mail address of account { $self } was verified
event-PasswordResetRequested = Another password requested
    .sentence = Somebody asked for another password for account { $self }: its owner gets a link until { $expires_at }
event-EmailChangeRequested = Another e-mail address requested
    .sentence = Another e-mail address was asked for by account { $self }: it gets a link until { $expires_at }
event-PasswordChanged = Password changed
    .sentence = The password of account { $self } changed: { $reason }
event-SignInsFailed = Sign-ins failed
    .sentence = { $count ->
        [one] A sign-in to account { $self } failed since { $since }
       *[other] { $count } sign-ins to account { $self } failed since { $since }
    }
event-RolesChanged = Roles changed
    .sentence = Account { $self } has the roles { $roles } from now on
event-AccountDisabled = Account disabled
    .sentence = Account { $self } was disabled: { $reason }
event-AccountEnabled = Account enabled
    .sentence = Account { $self } was enabled again: { $reason }
event-AllSessionsEnded = All sessions ended
    .sentence = All sessions of account { $self } ended: { $reason }
event-SecondFactorAdded = Second factor added
    .sentence = Account { $self } has a second factor: { $kind }
event-SecondFactorRemoved = Second factor removed
    .sentence = A second factor of account { $self } was removed: { $kind }
event-RecoveryCodesMade = Recovery codes made
    .sentence = Account { $self } has { $left } new recovery codes
event-RecoveryCodeUsed = Recovery code used
    .sentence = A recovery code of account { $self } was used: { $left ->
        [one] one is left
       *[other] { $left } are left
    }
event-SessionStarted = Session started
    .sentence = Account { $account } signed in
event-SessionEnded = Session ended
    .sentence = Session { $self } ended: { $reason }
event-SigningKeyMade = Signing key made
    .sentence = Access tokens are signed with key { $self } from { $signs_from } on
event-SigningKeyRetired = Signing key retired
    .sentence = Nothing is signed with key { $self } any more: { $reason }
event-ManySignInsFailed = Many sign-ins failed
    .sentence = { $count } sign-ins failed since { $since }, over { $accounts ->
        [one] one account
       *[other] { $accounts } accounts
    }
aggregate-account = account
aggregate-gate = sign-ins of a day
aggregate-registration = registration
aggregate-session = session
aggregate-signing_key = signing key
context-identity = Accounts of people, their sessions, and signing in
field-account = account
field-accounts = accounts
field-all_ended = times all sessions ended
field-by = by
    .invitation = invitation
    .link = mailed link
    .operator = operator
    .provider = provider
    .registration = registration
    .token = token of the guest
field-client = client
field-disabled = disabled
field-email_requested = last request for another e-mail address
field-ended = ended
    .restarted = its token came again after a restart
    .revoked = revoked
    .signed-out = signed out
    .token-reused = a used token came again
    .too-many = too many sessions
field-expires_at = expires at
field-factor = second factor
field-factors = factors
    .password = password
    .recovery-code = recovery code
    .totp = code of an app
field-failed_sign_ins = failed sign-ins
field-hours = hours with many failed sign-ins
field-kid = key
field-kind = kind
    .passkey = passkey
    .totp = codes of an app
field-passwords = passwords so far
field-recovery_codes = recovery codes left
field-request = request
field-reset_requested = last request for another password
field-retired = retired
    .compromised = compromised
    .restored = restored
    .rotated = rotated
field-roles = roles
    .admin = administrator
    .auditor = auditor
    .customer = customer
    .ops = operations
    .support = support
field-second_factors = second factors
field-signs_from = signs from
field-since = since
field-source = source
    .provider = provider
    .restored = restored
    .staff = staff
field-step = step
    .password = password
    .second-factor = second factor
field-unusual = unusual
field-user_version = version of the user
field-verified = verified version of the user

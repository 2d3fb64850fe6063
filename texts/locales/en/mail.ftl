### Mails of accounts. A text holds nothing that anybody typed.

mail-register = Confirm your e-mail address
    .text =
        Somebody, probably you, wants to open an account at { $shop } with this address.

        Open this page to choose a password:

        { $link }

        The link can be used once, until { $until }. If it was not you, do nothing: there is no account then.
mail-account-exists = You have an account already
    .text =
        Somebody, probably you, wants to open an account at { $shop } with this address. It has one already: sign in with it.

        If you have forgotten the password, ask for another one where you sign in. If it was not you, do nothing.
mail-reset = Choose another password
    .text =
        Somebody, probably you, has forgotten the password of your account at { $shop }.

        Open this page to choose another one:

        { $link }

        The link can be used once, until { $until }. All devices are signed out then. If it was not you, do nothing: the password stays as it is.
mail-email = Confirm your new e-mail address
    .text =
        Somebody, probably you, asked for an account at { $shop } to have this address.

        Open this page to confirm it:

        { $link }

        The link can be used once, until { $until }. All devices are signed out then. If it was not you, do nothing.
mail-undo = Your e-mail address was changed
    .text =
        Your account at { $shop } has another e-mail address from now on: this one is not used any more.

        If it was not you, open this page:

        { $link }

        Then this address is used again, all devices are signed out, and the password is void: ask for another one where you sign in. The link can be used once, until { $until }.
mail-claim = Add an order to your account
    .text =
        Somebody, probably you, wants to add an order that was placed at { $shop } with this address, without an account, to the account with this address.

        Sign in and open this page:

        { $link }

        The link can be used until { $until }. If it was not you, do nothing: the order stays as it is.
mail-sign-in = New sign-in to your account
    .text =
        Somebody, probably you, signed in to your account at { $shop } on a device that was not used for it before, at { $at }.

        If it was you, there is nothing to do. If it was not you, somebody knows the password: ask for another one where you sign in. All devices are signed out then.
mail-password-changed = Your password was changed
    .text =
        Your account at { $shop } has another password since { $at }, and the other devices were signed out.

        If it was you, there is nothing to do. If it was not you, somebody else has your account: say that you have forgotten the password where you sign in, and choose another one. Look at the second factors of your account then, and write to the shop if you cannot get in.
mail-factor-added = Your account has another second factor
    .text =
        Since { $at } your account at { $shop } has another second factor, an app or a passkey: signing in asks for it beside the password.

        If it was you, there is nothing to do. If it was not you, somebody else has your account: write to the shop, which can remove it, and choose another password.
mail-factor-removed = A second factor of your account was removed
    .text =
        A second factor of your account at { $shop } was removed at { $at }. If it was the last one, the password alone is enough to sign in.

        If it was you, there is nothing to do. If it was not you, somebody else has your account: say that you have forgotten the password where you sign in, choose another one, and add a second factor again.
mail-provider-linked = You can sign in to your account in another way
    .text =
        Since { $at } somebody who gave its password can sign in to your account at { $shop } with a provider such as an employer or a mail service.

        If it was you, there is nothing to do. If it was not you, somebody else has your account: say that you have forgotten the password where you sign in, and choose another one. That way of signing in ends then.
mail-client-allowed = You let a program act for you
    .text =
        Since { $at } the program “{ $client }” may act for your account at { $shop }, as you allowed it to.

        If it was you, there is nothing to do. You can see what it may do, and take it back at any time, here:

        { $clients }

        If it was not you, take it back there, say that you have forgotten the password where you sign in, and choose another one.
mail-recovery-codes-made = Your account has new recovery codes
    .text =
        Your account at { $shop } has new recovery codes since { $at }. The ones before can no longer be used.

        If it was you, there is nothing to do. If it was not you, somebody else has your account: choose another password, and make new recovery codes yourself.
mail-recovery-code-used = A recovery code of your account was used
    .text =
        A recovery code was used for your account at { $shop } at { $at }, in place of a second factor. It cannot be used again.

        If it was you, there is nothing to do, but to make new recovery codes before the last one is used. If it was not you, somebody knows your password and has your recovery codes: choose another password, and make new recovery codes.

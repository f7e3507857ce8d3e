// GMime; type-cast macros are wrapped here.
#pragma once
#include <gmime/gmime.h>

/// The members of a group, owned by it; NULL for an address that is no group.
static inline InternetAddressList *cgmime_group_members(InternetAddress *address) {
    if (!INTERNET_ADDRESS_IS_GROUP(address)) { return NULL; }
    return internet_address_group_get_members(INTERNET_ADDRESS_GROUP(address));
}

/// The address proper, owned by it; NULL for a group.
static inline const char *cgmime_mailbox_address(InternetAddress *address) {
    if (!INTERNET_ADDRESS_IS_MAILBOX(address)) { return NULL; }
    return internet_address_mailbox_get_addr(INTERNET_ADDRESS_MAILBOX(address));
}

/// Whether GMime can read a character set.
static inline int cgmime_knows_charset(const char *name) {
    iconv_t converter = g_mime_iconv_open("UTF-8", name);
    if (converter == (iconv_t)-1) { return 0; }
    g_mime_iconv_close(converter);
    return 1;
}

/// A text in UTF-8, to be freed with g_free; NULL when the character set is unknown.
static inline char *cgmime_to_utf8(const char *charset, const char *text) {
    iconv_t converter = g_mime_iconv_open("UTF-8", charset);
    if (converter == (iconv_t)-1) { return NULL; }
    char *result = g_mime_iconv_strdup(converter, text);
    g_mime_iconv_close(converter);
    return result;
}

static inline GMimeObject *cgmime_object_of_message(GMimeMessage *message) { return GMIME_OBJECT(message); }

static inline GMimeObject *cgmime_object_of_part(GMimePart *part) { return GMIME_OBJECT(part); }

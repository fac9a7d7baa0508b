/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Problem: GnuTLS calls p11-kit for keys on smart cards, which needs libraries of the host and has
 * no static build, and libidn2 for names of hosts that are not ASCII, with tables of 0.3 MB. A
 * server whose key is in a file (`agent --tls-key`) needs neither. Here both say that they can't,
 * in the way of their own functions: GnuTLS hands that on as an error. */
#include <idn2.h>
#include <p11-kit/p11-kit.h>
#include <p11-kit/pin.h>
#include <p11-kit/uri.h>
#include <stdlib.h>

#define ABSENT(type, name, value, ...) \
	type name(__VA_ARGS__)         \
	{                              \
		return value;          \
	}
#define ABSENT_VOID(name, ...) \
	void name(__VA_ARGS__) \
	{                      \
	}

#pragma GCC diagnostic ignored "-Wunused-parameter"

static const char why[] = "this static program has no PKCS #11";

/* --- p11-kit: modules --- */
ABSENT(CK_FUNCTION_LIST **, p11_kit_modules_load, NULL, const char *reserved, int flags)
ABSENT(CK_FUNCTION_LIST *, p11_kit_module_load, NULL, const char *path, int flags)
ABSENT(CK_RV, p11_kit_module_finalize, CKR_FUNCTION_NOT_SUPPORTED, CK_FUNCTION_LIST *module)
ABSENT_VOID(p11_kit_module_release, CK_FUNCTION_LIST *module)
ABSENT(char *, p11_kit_module_get_name, NULL, CK_FUNCTION_LIST *module)
ABSENT(int, p11_kit_module_get_flags, 0, CK_FUNCTION_LIST *module)
ABSENT(char *, p11_kit_config_option, NULL, CK_FUNCTION_LIST *module, const char *option)
ABSENT(const char *, p11_kit_strerror, why, CK_RV code)
ABSENT(const char *, p11_kit_message, why, void)
ABSENT(size_t, p11_kit_space_strlen, 0, const unsigned char *text, size_t size)
ABSENT(char *, p11_kit_space_strdup, NULL, const unsigned char *text, size_t size)

/* --- p11-kit: PINs --- */
ABSENT(P11KitPin *, p11_kit_pin_new_for_string, NULL, const char *value)
ABSENT_VOID(p11_kit_pin_unref, P11KitPin *pin)
ABSENT(const unsigned char *, p11_kit_pin_get_value, NULL, P11KitPin *pin, size_t *size)
ABSENT(size_t, p11_kit_pin_get_length, 0, P11KitPin *pin)
ABSENT(int, p11_kit_pin_register_callback, -1, const char *source, p11_kit_pin_callback callback,
       void *data, p11_kit_pin_destroy_func destroy)
ABSENT_VOID(p11_kit_pin_unregister_callback, const char *source, p11_kit_pin_callback callback,
	    void *data)
ABSENT(P11KitPin *, p11_kit_pin_request, NULL, const char *source, P11KitUri *uri,
       const char *description, P11KitPinFlags flags)
ABSENT(P11KitPin *, p11_kit_pin_file_callback, NULL, const char *source, P11KitUri *uri,
       const char *description, P11KitPinFlags flags, void *data)

/* --- p11-kit: URIs. There is none, so none is passed to these. --- */
ABSENT(P11KitUri *, p11_kit_uri_new, NULL, void)
ABSENT_VOID(p11_kit_uri_free, P11KitUri *uri)
ABSENT(int, p11_kit_uri_parse, P11_KIT_URI_UNEXPECTED, const char *text, P11KitUriType type,
       P11KitUri *uri)
ABSENT(int, p11_kit_uri_format, P11_KIT_URI_UNEXPECTED, P11KitUri *uri, P11KitUriType type,
       char **text)
ABSENT(CK_INFO_PTR, p11_kit_uri_get_module_info, NULL, P11KitUri *uri)
ABSENT(int, p11_kit_uri_match_module_info, 0, const P11KitUri *uri, const CK_INFO *info)
ABSENT(CK_TOKEN_INFO_PTR, p11_kit_uri_get_token_info, NULL, P11KitUri *uri)
ABSENT(int, p11_kit_uri_match_token_info, 0, const P11KitUri *uri, const CK_TOKEN_INFO *info)
ABSENT(CK_ATTRIBUTE_PTR, p11_kit_uri_get_attribute, NULL, P11KitUri *uri, CK_ATTRIBUTE_TYPE type)
ABSENT(CK_ATTRIBUTE_PTR, p11_kit_uri_get_attributes, NULL, P11KitUri *uri, CK_ULONG *count)
ABSENT(int, p11_kit_uri_set_attribute, P11_KIT_URI_UNEXPECTED, P11KitUri *uri,
       CK_ATTRIBUTE_PTR attribute)
ABSENT(const char *, p11_kit_uri_get_pin_value, NULL, const P11KitUri *uri)
ABSENT(const char *, p11_kit_uri_get_pin_source, NULL, const P11KitUri *uri)

/* --- libidn2 --- */
ABSENT(int, idn2_to_ascii_8z, IDN2_DISALLOWED, const char *input, char **output, int flags)
ABSENT(int, idn2_to_unicode_8z8z, IDN2_DISALLOWED, const char *input, char **output, int flags)
ABSENT(const char *, idn2_strerror, "this static program has no international host names", int code)
ABSENT_VOID(idn2_free, void *ptr)

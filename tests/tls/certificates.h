/* SPDX-License-Identifier: MIT */
/* certificates.h - an authority and what it certifies, made afresh in a scratch directory by each test.
 *
 * Files: authority.pem, NAME.pem and NAME.key. Ed25519 where only weft reads them: its signatures are
 * always of one length, so that every run of a sweep transfers the same. */
#ifndef CERTIFICATES_H
#define CERTIFICATES_H

#include <dirent.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "weft_test.h"

struct authority {
    const char *kind; /* "ED25519" or "P-256" */
    EVP_PKEY *key;
    X509 *certificate;
    char directory[64];
};

WT_FN void in_directory(char *path, size_t size, const struct authority *authority,
                        const char *name, const char *ending)
{
    snprintf(path, size, "%s/%s%s", authority->directory, name, ending);
}

WT_FN EVP_PKEY *make_key(const char *kind)
{
    EVP_PKEY *key = strcmp(kind, "ED25519") == 0 ? EVP_PKEY_Q_keygen(NULL, NULL, kind)
                                                 : EVP_PKEY_Q_keygen(NULL, NULL, "EC", kind);
    cr_assert_not_null(key);
    return key;
}

WT_FN void add_extension(X509 *certificate, int which, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, certificate, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, which, value);
    cr_assert_not_null(extension);
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

/* Of `key`, valid from a day ago for `days`. */
WT_FN X509 *make_certificate(EVP_PKEY *key, const char *name, long days)
{
    static long serial = 1;
    X509 *certificate = X509_new();
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -2 * 86400);
    X509_gmtime_adj(X509_getm_notAfter(certificate), days * 86400);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                               (const unsigned char *)name, -1, -1, 0);
    X509_set_pubkey(certificate, key);
    return certificate;
}

WT_FN void write_file(const struct authority *authority, const char *name, const char *ending,
                      EVP_PKEY *key, X509 *certificate)
{
    char path[256];
    in_directory(path, sizeof path, authority, name, ending);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    cr_assert_eq(key != NULL ? PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL)
                             : PEM_write_X509(file, certificate),
                 1);
    fclose(file);
}

WT_FN void sign_certificate(const struct authority *authority, X509 *certificate)
{
    const EVP_MD *digest = strcmp(authority->kind, "ED25519") == 0 ? NULL : EVP_sha256();
    X509_set_issuer_name(certificate, X509_get_subject_name(authority->certificate));
    cr_assert_gt(X509_sign(certificate, authority->key, digest), 0);
}

WT_FN void authority_open(struct authority *authority, const char *kind)
{
    authority->kind = kind;
    strcpy(authority->directory, "/tmp/weft-tls-XXXXXX");
    cr_assert_not_null(mkdtemp(authority->directory));
    authority->key = make_key(kind);
    authority->certificate = make_certificate(authority->key, "weft test authority", 30);
    add_extension(authority->certificate, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(authority->certificate, NID_key_usage, "critical,keyCertSign");
    sign_certificate(authority, authority->certificate);
    write_file(authority, "authority", ".pem", NULL, authority->certificate);
}

/* NAME.pem and NAME.key for `names`, as "DNS:localhost,IP:127.0.0.1"; expired with negative `days`. */
WT_FN void certify(const struct authority *authority, const char *name, const char *names,
                   long days)
{
    EVP_PKEY *key = make_key(authority->kind);
    X509 *certificate = make_certificate(key, name, days);
    add_extension(certificate, NID_subject_alt_name, names);
    sign_certificate(authority, certificate);
    write_file(authority, name, ".key", key, NULL);
    write_file(authority, name, ".pem", NULL, certificate);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

WT_FN void authority_close(struct authority *authority)
{
    DIR *directory = opendir(authority->directory);
    for (const struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", authority->directory, entry->d_name);
        unlink(path);
    }
    closedir(directory);
    rmdir(authority->directory);
    X509_free(authority->certificate);
    EVP_PKEY_free(authority->key);
}

#endif

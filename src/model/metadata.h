/*
 * model/metadata.h - what the instance metadata service answers: a request and an instance's facts
 * in, a status and what to send out
 *
 * Pure: no socket, no database, no key but the one for tokens; time and random bytes are arguments.
 * The tree is a table of paths (metadata_tree.c). What needs a private key or the identity
 * database (signatures, a role's credentials) is only named; the server makes it.
 * Source: EC2 User Guide "Instance metadata and user data", "Use IMDSv2".
 */
#pragma once

#include "model/metadata_token.h"

#include <glib.h>
#include <jansson.h>

typedef enum {
    FACT_NONE,
    FACT_INSTANCE_ID,
    FACT_ACCOUNT_ID,
    FACT_IMAGE_ID,
    FACT_LAUNCH_INDEX,
    FACT_INSTANCE_TYPE,
    FACT_ARCHITECTURE,
    FACT_RESERVATION_ID,
    FACT_REGION,
    FACT_ZONE_NAME,
    FACT_ZONE_ID,
    FACT_PRIVATE_IP,
    FACT_MAC,
    FACT_HOSTNAME,
    FACT_ENI_ID,
    FACT_SUBNET_ID,
    FACT_SUBNET_CIDR,
    FACT_VPC_ID,
    FACT_VPC_CIDR,
    FACT_GROUP_ID,
    FACT_ROOT_DEVICE,
    FACT_KEY_NAME,   /* NULL: launched without a key pair */
    FACT_PUBLIC_KEY, /* one OpenSSH line */
    FACT_PROFILE,    /* name of the instance profile; NULL: none */
    FACT_PROFILE_ARN,
    FACT_PROFILE_ID,
    FACT_ROLE, /* of the profile; NULL: none */
    FACT_ROLE_ID,
    FACT__COUNT
} MetadataFact;

/* One instance as the service knows it. */
typedef struct {
    char *text[FACT__COUNT];
    gint64 pending_us; /* when it was launched */
    GBytes *user_data; /* NULL: none */
    json_t *tags;      /* {key: value}; NULL: not shown */
    gboolean enabled;  /* HttpEndpoint */
    gboolean required; /* HttpTokens: the first version is refused */
    gint hop_limit;    /* of the answers to PUT */
} MetadataFacts;

MetadataFacts *metadata_facts_new(void);
void metadata_facts_free(MetadataFacts *facts);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MetadataFacts, metadata_facts_free)
/* Takes what an instance's options say (MetadataOptions of DescribeInstances; may be NULL: the
 * defaults are v2 only, one hop, no tags). tags {key: value} are kept when the options show them.
 */
void metadata_facts_set_options(MetadataFacts *facts, const json_t *options, json_t *tags);

typedef enum {
    METADATA_TEXT, /* text */
    METADATA_USER_DATA,
    METADATA_SIGNATURE,   /* over the identity document, which is text: base64 */
    METADATA_PKCS7,       /* the same as CMS */
    METADATA_CREDENTIALS, /* of the instance's role */
    METADATA_IAM_INFO,    /* who the role is; text */
} MetadataKind;

typedef struct {
    int status;
    MetadataKind kind; /* with status 200 */
    char *text;
    gboolean token; /* text is a token, for ttl_seconds: the hop limit holds */
    gint ttl_seconds;
} MetadataAnswer;

void metadata_answer_clear(MetadataAnswer *answer);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(MetadataAnswer, metadata_answer_clear)

typedef struct {
    const char *method;
    const char *path; /* raw, without a query */
    const char *host; /* headers; NULL: absent */
    const char *token;
    const char *ttl;
    const char *forwarded_for;
} MetadataRequest;

/* facts NULL: no living instance has the caller's address. */
void metadata_serve(const MetadataRequest *request, const MetadataFacts *facts,
                    const guint8 token_key[CRYPTO_KEY_SIZE],
                    const guint8 nonce[METADATA_TOKEN_NONCE], gint64 now_us,
                    MetadataAnswer *ret_answer);

/* -- metadata_tree.c */
/* Fills kind and text for a path below a version ("meta-data/mac"), slashes at its end counting for
 * nothing; FALSE when there is nothing of that name. */
gboolean metadata_find(const MetadataFacts *facts, const char *path, gint64 now_us,
                       MetadataAnswer *answer);
/* The identity document, to the byte as it is signed. Caller frees. */
char *metadata_document(const MetadataFacts *facts);

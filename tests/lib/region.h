/*
 * tests/lib/region.h - a region with one zone on this machine's libvirt, for tests of reconcile
 *
 * Databases of its own, a root folder of its own, objects with a prefix of their own ("hyper" and
 * digits); everything is removed by test_region_free. Any failure ends the program.
 */
#pragma once

#include "base/config.h"
#include "base/crypto.h"
#include "pg.h"
#include "reconcile/loop.h"

typedef struct {
    TestDb *db;
    Config *config;
    char *root;
    char *uri;
    guint8 key[CRYPTO_KEY_SIZE];
} TestRegion;

#define TEST_HOST    "h-00000000000000001"
#define TEST_ZONE    "home-1a"
#define TEST_ACCOUNT "111122223333"

/* Whether libvirt answers at uri; else tests skip themselves. */
gboolean test_libvirt_answers(const char *uri);
/* number (1 to 250) tells regions of concurrent tests apart: their bridge and addresses. */
TestRegion *test_region_new(const char *uri, guint number);
/* Every domain, network and pool of the region is removed too. */
void test_region_free(TestRegion *region);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TestRegion, test_region_free)

/* An image row for a file or folder; wakes its step. */
void test_region_image(TestRegion *region, const char *image_id, const char *location);
/* A raw disk of a mebibyte of zeros: its guests run, and boot nothing. Caller frees the path. */
char *test_region_empty_disk(TestRegion *region);
/* An instance row (number 1 to 250), as RunInstances writes it. Caller frees its id. */
char *test_region_instance(TestRegion *region, const char *image_id, guint number,
                           guint memory_mib);

/* Text of the first cell, "" for NULL or no row. Caller frees. */
char *test_region_ask(TestRegion *region, const char *format, ...) G_GNUC_PRINTF(2, 3);
void test_region_do(TestRegion *region, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* Asks until the answer is expected, at most seconds; FALSE and a message when it is not. */
gboolean test_region_wait(TestRegion *region, guint seconds, const char *expected,
                          const char *format, ...) G_GNUC_PRINTF(4, 5);
/* What is left on libvirt, as one text: domains, volumes, addresses, guests' files. */
char *test_region_left(TestRegion *region);

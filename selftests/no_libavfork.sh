#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Stands in for the tests that cannot be built without the library.
echo "SKIP the tests of libavfork: pkg-config does not know it (set PKG_CONFIG_PATH or LIBAVFORK_LIBS)"
exit 4

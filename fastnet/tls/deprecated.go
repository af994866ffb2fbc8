package tls

//lint:file-ignore SA1019 the whole surface is here, with what is deprecated

import cryptotls "crypto/tls"

// VersionSSL30 is crypto/tls.VersionSSL30.
//
// Deprecated: as in crypto/tls.
const VersionSSL30 = cryptotls.VersionSSL30

// Package actor executes a plan on a running cluster and writes down what it did.
//
// Every command is stamped: its identifier stands in the user agent of each of its requests, so that the
// audit log tells which process sent what. The journal has one line per command, flushed at once, so that
// a recording that was cut off can still be read.
package actor

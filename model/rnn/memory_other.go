//go:build !linux

package rnn

// advise is for systems that take hints about large pages.
func advise([]float32) {}

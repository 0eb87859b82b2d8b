// Package model labels events: it trains the paper's network on windows of consecutive events, keeps
// what was learned in a file, and lets the windows that cover an event vote on its label.
//
// [Train] makes a [Tagger] from a corpus, a split of it and a [Config]. A tagger labels a log with
// [Tagger.Label], a stream with a [Labeler], and is kept with [Tagger.Save] and [Load]. Below that, a
// [Network] is the bare network on batches.
//
// The same corpus, split, config, seed and kernels give the same bits, whatever the number of threads
// and however often the training was interrupted and resumed.
package model

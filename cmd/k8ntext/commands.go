package main

import "github.com/spf13/cobra"

// commands lists the verbs. Each has a file of its own.
func (a *app) commands() []*cobra.Command {
	return []*cobra.Command{
		a.predictCommand(),
		a.trainCommand(),
		a.evaluateCommand(),
		a.explainCommand(),
		a.experimentCommand(),
		a.modelCommand(),
		a.collectCommand(),
		a.contextsCommand(),
		a.summaryCommand(),
		a.queryCommand(),
		a.storeCommand(),
		a.corpusCommand(),
		a.labelCommand(),
		a.featureCommand(),
		a.deviceCommand(),
		a.versionCommand(),
	}
}

package main

import (
	"errors"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"k8ntext/testbed/cluster"
)

func (a *app) downCommand() *cobra.Command {
	var cache string
	var all bool
	c := &cobra.Command{
		Use:   "down [NAME ...]",
		Short: "End clusters that run or that a crash left behind",
		Long: `down lists the clusters started from the cache folder, and ends those that are
named, and with --all every one. State that a dead cluster left is removed.`,
		Example: `  testbed down
  testbed down testbed
  testbed down --all`,
		RunE: func(cmd *cobra.Command, names []string) error { return a.down(cache, names, all) },
	}
	c.Flags().BoolVar(&all, "all", false, "end all clusters")
	cacheFlag(c, &cache)
	return c
}

func (a *app) down(cache string, names []string, all bool) error {
	var err error
	if cache == "" {
		if cache, err = cluster.DefaultCache(); err != nil {
			return err
		}
	}
	records, err := cluster.Records(cache)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !slices.ContainsFunc(records, func(r cluster.Record) bool { return r.Name == name }) {
			return usagef("no cluster named %q: testbed down without names lists them", name)
		}
	}
	var errs []error
	for _, r := range records {
		alive, err := r.Alive(cache)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		state := "dead"
		if alive {
			state = "running"
		}
		if all || slices.Contains(names, r.Name) {
			if err := r.End(cache); err != nil {
				errs = append(errs, err)
				continue
			}
			state = "ended"
		}
		errs = append(errs, a.print(struct {
			Name    string    `json:"name"`
			Minor   string    `json:"minor"`
			Dir     string    `json:"dir"`
			Started time.Time `json:"started"`
			State   string    `json:"state"`
		}{r.Name, r.Minor, r.Dir, r.Started, state}, r.Name+"\t"+r.Minor+"\t"+r.Dir+"\t"+r.Started.Format(time.DateTime)+"\t"+state))
	}
	return errors.Join(errs...)
}

// Command go_agent is a client under test: a small discovery agent on the public agent SDK, started the way the Go agents
// start. It reads nothing but its environment, as `mockcentral env` prints it.
//
// Standard output has one JSON line for each event that reached its handler with a sequence ("applied", as
// `mockcentral run` reads them). With GO_AGENT_PROGRESS=true it also says how far it is, for tests that wait for it:
//
//	{"type": "progress", "step": "running"}
//	{"type": "progress", "step": "published", "name": "petstore"}
//	{"type": "progress", "step": "provisioned", "kind": "Credential", "name": "..."}      and "deprovisioned"
//
// GO_AGENT_PUBLISH=a,b publishes an API of each name once it runs. SIGTERM is the SDK's: it saves its cache and exits.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/Axway/agent-sdk/pkg/agent"
	"github.com/Axway/agent-sdk/pkg/agent/handler"
	"github.com/Axway/agent-sdk/pkg/apic"
	v1 "github.com/Axway/agent-sdk/pkg/apic/apiserver/models/api/v1"
	"github.com/Axway/agent-sdk/pkg/cmd"
	"github.com/Axway/agent-sdk/pkg/config"
	"github.com/Axway/agent-sdk/pkg/watchmanager/proto"
)

// lines is the process's standard output; the SDK, which logs there, is given standard error.
var lines = os.Stdout

func main() {
	os.Stdout = os.Stderr
	// Without a configuration file the SDK starts only when it is given a file of variables. Ours are in the environment.
	if !strings.Contains(strings.Join(os.Args, " "), "--envFile") {
		os.Args = append(os.Args, "--envFile", os.DevNull)
	}
	root := cmd.NewRootCmd("go_agent", "Discovery agent under test", configure, run, config.DiscoveryAgent)
	if err := root.Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "go_agent:", err)
		os.Exit(1)
	}
}

// configure is called by the SDK with its configuration read, before the cache is filled and the stream opened.
func configure(config.CentralConfig) (any, error) {
	agent.RegisterResourceEventHandler("go_agent", watcher{})
	agent.RegisterProvisioner(provisioner{})
	return nil, nil
}

// run is the agent's own part: called once the cache is filled and the first health check is good, it has to last.
func run() error {
	if _, err := agent.NewAPIKeyAccessRequestBuilder().Register(); err != nil {
		return fmt.Errorf("no access request definition: %w", err)
	}
	if _, err := agent.NewAPIKeyCredentialRequestBuilder().Register(); err != nil {
		return fmt.Errorf("no credential request definition: %w", err)
	}
	progress("running", nil)
	for _, name := range strings.FieldsFunc(os.Getenv("GO_AGENT_PUBLISH"), func(r rune) bool { return r == ',' }) {
		if err := publish(name); err != nil {
			return fmt.Errorf("%s: not published: %w", name, err)
		}
		progress("published", map[string]any{"name": name})
	}
	select {}
}

func publish(name string) error {
	spec := fmt.Sprintf(
		`{"openapi": "3.0.1", "info": {"title": %q, "version": "1"}, "servers": [{"url": "http://%s.test"}], "paths": {}}`, name, name,
	)
	body, err := apic.NewServiceBodyBuilder().
		SetID(name).SetAPIName(name).SetTitle(name).SetVersion("1").SetAPISpec([]byte(spec)).
		SetAuthPolicy(apic.Apikey).SetAccessRequestDefinitionName("api-key", false).SetCredentialRequestDefinitions([]string{"api-key"}).
		Build()
	if err != nil {
		return err
	}
	return agent.PublishAPI(body)
}

// watcher hears of every resource of the agent's topic, fetched by the SDK.
type watcher struct{}

func (watcher) Handle(ctx context.Context, event *proto.EventMeta, resource *v1.ResourceInstance) error {
	fields := map[string]any{
		"op": handler.GetActionFromContext(ctx).String(), "kind": resource.Kind, "name": resource.Name,
	}
	// What is listed while the cache is filled comes without an event.
	if event == nil {
		progress("listed", fields)
		return nil
	}
	fields["type"], fields["sequence"] = "applied", event.GetSequenceID()
	fields["topic"], fields["subresource"] = event.GetWatchTopicSelfLink(), event.GetSubresource()
	say(fields)
	return nil
}

func progress(step string, fields map[string]any) {
	if os.Getenv("GO_AGENT_PROGRESS") == "" {
		return
	}
	said := map[string]any{"type": "progress", "step": step}
	for name, value := range fields {
		said[name] = value
	}
	say(said)
}

func say(fields map[string]any) {
	line, _ := json.Marshal(fields)
	// One write a line, unbuffered: nothing is lost when the process is killed.
	lines.Write(append(line, '\n'))
}

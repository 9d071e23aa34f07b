package main

import (
	"github.com/Axway/agent-sdk/pkg/apic/provisioning"
)

// provisioner grants what the marketplace asks for, in no gateway at all.
type provisioner struct{}

func (provisioner) ApplicationRequestProvision(request provisioning.ApplicationRequest) provisioning.RequestStatus {
	return did("provisioned", "ManagedApplication", request.GetManagedApplicationName())
}

func (provisioner) ApplicationRequestDeprovision(request provisioning.ApplicationRequest) provisioning.RequestStatus {
	return did("deprovisioned", "ManagedApplication", request.GetManagedApplicationName())
}

func (provisioner) AccessRequestProvision(
	request provisioning.AccessRequest,
) (provisioning.RequestStatus, provisioning.AccessData) {
	return did("provisioned", "AccessRequest", request.GetApplicationName()), nil
}

func (provisioner) AccessRequestDeprovision(request provisioning.AccessRequest) provisioning.RequestStatus {
	return did("deprovisioned", "AccessRequest", request.GetApplicationName())
}

func (provisioner) CredentialProvision(
	request provisioning.CredentialRequest,
) (provisioning.RequestStatus, provisioning.Credential) {
	return did("provisioned", "Credential", request.GetName()), provisioning.NewCredentialBuilder().SetAPIKey("a-key-of-the-test")
}

func (provisioner) CredentialDeprovision(request provisioning.CredentialRequest) provisioning.RequestStatus {
	return did("deprovisioned", "Credential", request.GetName())
}

func (provisioner) CredentialUpdate(
	request provisioning.CredentialRequest,
) (provisioning.RequestStatus, provisioning.Credential) {
	return did("updated", "Credential", request.GetName()), provisioning.NewCredentialBuilder().SetAPIKey("another-key-of-the-test")
}

func did(step, kind, name string) provisioning.RequestStatus {
	progress(step, map[string]any{"kind": kind, "name": name})
	return provisioning.NewRequestStatusBuilder().SetMessage(step).Success()
}
